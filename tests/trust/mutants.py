# ruff: noqa: E501
"""Structure-aware mutants of model files: damaged or forged, most with a digest that fits.

A mutant that keeps a valid digest reaches the checks behind it; that is what a hostile file does.
"""

import hashlib
import json
import re

import numpy as np

BLANK = b"0" * 64
JUNK = [
    None, True, False, 0, -1, 1, 2, 3, 2**31, 2**53, 2**62, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), "", "x", "\x1b[2J", "0" * 64, "../../etc/passwd", "__import__", [],
    [[]], {}, {"class": "Real"}, {"class": "os.system"}, {"class": "Adam", "beta1": "x"}, {"map": 3},
    {"map": [[1, 2]]}, [0] * 1000, {"class": []}, {"__metadata__": 1},
]  # fmt: skip


def split(data):
    """Return (outer header, inner header, arrays) of a model file."""
    length = int.from_bytes(data[:8], "little")
    outer = json.loads(data[8 : 8 + length])
    return outer, json.loads(outer["__metadata__"]["xhat"]), data[8 + length :]


def join(outer, inner, arrays, *, sign=True, text=None):
    """Return a file again, by default with a digest that fits."""
    if isinstance(inner, dict) and sign and text is None:
        inner = {**inner, "sha256": BLANK.decode()}
    text = json.dumps(inner, sort_keys=True) if text is None else text
    head = json.dumps({**outer, "__metadata__": {"xhat": text}}, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    data = len(head).to_bytes(8, "little") + head + arrays
    return resign(data) if sign else data


def resign(data):
    """Return the file with the digest of what it now is."""
    key = rb"\"sha256\": \""
    at = data.find(key)
    if at < 0:
        return data
    at += len(key)
    blank = data[:at] + BLANK + data[at + 64 :]
    return data[:at] + hashlib.sha256(blank).hexdigest().encode() + data[at + 64 :]


def places(value, path=()):
    """Yield the path of every value in a JSON tree."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else [])
    )
    for key, item in list(items):
        yield from places(item, (*path, key))


def put(tree, path, change):
    """Return a copy with the value at a path replaced by change(parent, key)."""
    tree = json.loads(json.dumps(tree))
    if not path:
        return tree
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return tree


def mutant(data, rng):
    """Return one mutant and the name of its kind."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    return kind.__name__, kind(data, rng)


def flip(data, rng):
    bit = int(rng.integers(8 * len(data)))
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def cut(data, rng):
    return data[: int(rng.integers(len(data)))]


def grow(data, rng):
    return data + rng.bytes(int(rng.integers(1, 100)))


def first_length(data, rng):
    values = [
        0,
        1,
        2,
        7,
        len(data),
        len(data) - 8,
        len(data) - 7,
        2**26 + 1,
        2**32,
        2**63,
        2**64 - 1,
    ]
    return int(rng.choice(np.array(values, np.uint64))).to_bytes(8, "little") + data[8:]


def splice(data, rng):
    a, b = sorted(rng.integers(len(data), size=2))
    at = int(rng.integers(len(data)))
    return data[:at] + data[a:b] + data[at + int(rng.integers(0, b - a + 1)) :]


def header_value(data, rng):
    """Replace one value of the header by junk."""
    outer, inner, arrays = split(data)
    where = list(places(inner))[1:]
    path, junk = where[int(rng.integers(len(where)))], JUNK[int(rng.integers(len(JUNK)))]

    def change(parent, key):
        parent[key] = junk

    return join(outer, put(inner, path, change), arrays)


def header_nudge(data, rng):
    """Change a number of the header by a little: dims against layers, epochs, widths."""
    outer, inner, arrays = split(data)
    where = [p for p in places(inner) if p and isinstance(value_at(inner, p), (int, float))]
    path, step = where[int(rng.integers(len(where)))], int(rng.choice([-2, -1, 1, 2, 1000]))

    def change(parent, key):
        parent[key] += step

    return join(outer, put(inner, path, change), arrays)


def header_drop(data, rng):
    outer, inner, arrays = split(data)
    where = list(places(inner))[1:]
    path = where[int(rng.integers(len(where)))]

    def change(parent, key):
        del parent[key]

    return join(outer, put(inner, path, change), arrays)


def header_extra(data, rng):
    outer, inner, arrays = split(data)
    where = [p for p in places(inner) if isinstance(value_at(inner, p), dict)]
    tree = json.loads(json.dumps(inner))
    value_at(tree, where[int(rng.integers(len(where)))])["extra"] = JUNK[
        int(rng.integers(len(JUNK)))
    ]
    return join(outer, tree, arrays)


def duplicate_key(data, rng):
    """Repeat a key at some level, of the inner or the outer header."""
    outer, inner, arrays = split(data)
    text = json.dumps({**inner, "sha256": BLANK.decode()}, sort_keys=True)
    if rng.random() < 0.3:
        file = join(outer, inner, arrays)
        length = int.from_bytes(file[:8], "little")
        head = file[8 : 8 + length].rstrip()
        head = (
            head[:-1]
            + b","
            + json.dumps("theta").encode()
            + b":"
            + json.dumps(outer["theta"]).encode()
            + b"}"
        )
        head += b" " * (-len(head) % 8)
        return resign(len(head).to_bytes(8, "little") + head + file[8 + length :])
    starts = [m.end() for m in re.finditer(r'\{(?=")', text)]
    at = starts[int(rng.integers(len(starts)))]
    key = re.match(r'"[^"]*"', text[at:]).group()
    return join(outer, inner, arrays, text=f"{text[:at]}{key}: 1, {text[at:]}")


def deep(data, rng):
    outer, inner, arrays = split(data)
    n = int(10 ** rng.uniform(1, 5.5))
    return join(
        outer,
        inner,
        arrays,
        text='{"format": 1, "sha256": "' + "0" * 64 + '", "x": ' + "[" * n + "]" * n + "}",
    )


def entry(data, rng):
    """Forge where an array lies, its shape, its dtype or its name."""
    outer, inner, arrays = split(data)
    name = str(rng.choice([n for n in outer if n != "__metadata__"]))
    field = str(rng.choice(["dtype", "shape", "data_offsets", "name", "extra", "whole"]))
    item = dict(outer[name])
    if field == "dtype":
        item["dtype"] = str(
            rng.choice(["F16", "BF16", "I64", "U8", "BOOL", "O", "F32", "F64", "f8", "C64"])
        )
    elif field == "shape":
        item["shape"] = [[], [0], [2**62], [2**32, 2**32], [-1], [1.5], ["1"], [True], None, [1] * 40,
                         [*item["shape"], 1], [2**40, 0]][int(rng.integers(12))]  # fmt: skip
    elif field == "data_offsets":
        b, e = item["data_offsets"]
        item["data_offsets"] = [[b, e + 8], [b + 8, e], [e, b], [0, 2**62], [-8, 0], [b], [b, e, e], "01",
                                [b + 1, e + 1], [float(b), e], [0, len(arrays)], [0, 0]][int(rng.integers(12))]  # fmt: skip
    outer = {**outer, name: item}
    if field == "name":
        outer[f"{name}x"] = outer.pop(name)
    elif field == "extra":
        outer["more"] = item
    elif field == "whole":
        outer[name] = JUNK[int(rng.integers(len(JUNK)))]
    return join(outer, inner, arrays)


def weights(data, rng):
    """Put a value into the arrays that is no number, or out of all proportion."""
    outer, inner, arrays = split(data)
    out = bytearray(arrays)
    value = float(rng.choice([np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0, -1.0, 5e-324]))
    size = str(rng.choice(["<f8", "<f4"]))
    with np.errstate(all="ignore"):
        raw = np.array(value).astype(size).tobytes()
    at = int(rng.integers(len(out) // len(raw))) * len(raw)
    out[at : at + len(raw)] = raw
    return join(outer, inner, bytes(out))


def value_at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


KINDS = [flip, cut, grow, first_length, splice, header_value, header_nudge, header_drop, header_extra,
         duplicate_key, deep, entry, weights, header_value, entry, header_nudge]  # fmt: skip
