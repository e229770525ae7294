# ruff: noqa: E501, PT017
"""Every rule of the loader by itself: a file that breaks it and its reason, one that just keeps it."""

import json
import os
import tracemalloc
from dataclasses import replace

import mutants
import numpy as np
import pytest
from test_model_file import rich_model

from xhat import (
    Autoencoder,
    ModelFileError,
    container,
    fields,
    header,
    load,
    loading,
    persist,
    plain,
)
from xhat.container import Damaged, Format, pack, unpack
from xhat.persist import to_bytes
from xhat.train.monitor import EarlyStopping
from xhat.train.schedules import OneCycle

FORMAT = Format("test", "test file", 3)


@pytest.fixture(scope="module")
def rich():
    return mutants.split(to_bytes(rich_model()))


@pytest.fixture
def refused(tmp_path):
    """Return why a file is refused; None if it is not."""

    def refused(data):
        path = tmp_path / "m.xhat"
        path.write_bytes(data)
        try:
            load(path)
        except ModelFileError as error:
            assert str(error).startswith(f"{path}: ")
            return str(error).removeprefix(f"{path}: ")
        return None

    return refused


# -- the container ---------------------------------------------------------------------------------

A, B = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.float64).reshape(2, 2)


def file(tmp_path, data):
    path = tmp_path / "t"
    path.write_bytes(data)
    return path


def raw(head, arrays=b"", length=None):
    """Return a file of these bytes."""
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    return (len(head) if length is None else length).to_bytes(8, "little") + head + arrays


def signed(entries, arrays, **more):
    """Return a file of one kind with a digest that fits."""
    inner = json.dumps({"format": 3, "sha256": "0" * 64, **more})
    return mutants.resign(raw({"__metadata__": {"test": inner}, **entries}, arrays))


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def why(path, names=("a", "b"), **more):
    with pytest.raises(Damaged) as error:
        unpack(FORMAT, path, names, **more)
    return str(error.value)


def test_what_is_packed_is_unpacked(tmp_path):
    data = pack(FORMAT, {"n": [1, {"x": None}]}, {"a": A, "b": B.T, "c": np.empty(0)})
    head, arrays = unpack(FORMAT, file(tmp_path, data), ("a", "b", "c"))
    assert head.keys() == {"format", "n", "sha256"}
    assert (head["format"], head["n"]) == (3, [1, {"x": None}])
    assert {name: (a.dtype, a.shape, a.tolist()) for name, a in arrays.items()} == {
        "a": (np.float32, (3,), A.tolist()),
        "b": (np.float64, (2, 2), B.T.tolist()),
        "c": (np.float64, (0,), []),
    }
    assert pack(FORMAT, {"n": [1, {"x": None}]}, {"a": A, "b": B.T, "c": np.empty(0)}) == data
    assert unpack(FORMAT, file(tmp_path, pack(FORMAT, {}, {})), ())[1] == {}
    endless = pack(FORMAT, {"loss": float("inf")}, {})  # of a fit that has just begun
    assert unpack(FORMAT, file(tmp_path, endless), ())[0]["loss"] == float("inf")


def test_optional_arrays(tmp_path):
    path = file(tmp_path, pack(FORMAT, {}, {"a": A, "more_x": B}))
    assert set(unpack(FORMAT, path, ("a",), optional=("more_",))[1]) == {"a", "more_x"}
    wrong = [(("a",), ()), (("a",), ("x_",)), (("a", "more_y"), ("more_",)), ((), ("m",))]
    for names, optional in wrong:
        assert why(path, names, optional=optional) == (
            "it does not hold the arrays that it must hold"
        )


LAYOUT = "not an xhat test file (wrong layout at the start)"
FOREIGN = "not an xhat test file (no header of xhat in it)"
GOOD = {"__metadata__": {"test": '{"format": 3, "sha256": "x"}'}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", LAYOUT),
        (bytes(7), LAYOUT),
        (bytes(8), LAYOUT),
        (raw(b"[]"), LAYOUT),
        (raw(b"{}", length=3), LAYOUT),
        (raw(b"{}", length=2**64 - 1), LAYOUT),
        (raw(b"{}"), FOREIGN),
        (raw(b"{"), FOREIGN),
        (raw(b"{\xff}"), FOREIGN),
        (raw(b"{" + b'"a":[' * 200_000), "its header holds too many lists"),
        (raw(b'{"a":' + b"[" * 90_000), FOREIGN),
        (raw({"__metadata__": 3}), FOREIGN),
        (raw({"__metadata__": []}), FOREIGN),
        (raw({"__metadata__": {}}), FOREIGN),
        (raw({"__metadata__": {"xhat": "{}"}}), FOREIGN),
        (raw({"__metadata__": {"test": "{}", "more": "{}"}}), FOREIGN),
        (raw({"__metadata__": {**GOOD["__metadata__"], "more": "x"}}), FOREIGN),
        (raw({"__metadata__": {"test": 3}}), FOREIGN),
        (raw({"__metadata__": {"test": "[]"}}), FOREIGN),
        (raw({"__metadata__": {"test": "3"}}), FOREIGN),
        (raw({"__metadata__": {"test": "{}"}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": 3}'}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": 3, "sha256": 7}'}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": true, "sha256": "x"}'}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": 3.0, "sha256": "x"}'}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": 0, "sha256": "x"}'}}), FOREIGN),
        (raw({"__metadata__": {"test": '{"format": 1, "format": 1}'}}), "a key stands twice in its header"),
        (raw(b'{"a": 1, "a": 1}'), "a key stands twice in its header"),
        (raw({**GOOD, "a": 3}), "array 'a' is not described as it must be"),
        (raw(GOOD), "it has no digest where one must stand"),
        (raw(GOOD, b"1"), "its length is not what its header says: it was cut off or added to"),
    ],
)  # fmt: skip
def test_headers_that_are_none(tmp_path, data, reason):
    names = {"a"} if b'"a": 3' in data else ()
    assert why(file(tmp_path, data), names) == reason


def test_older_formats_are_read_and_newer_ones_named(tmp_path):
    for version in (1, 3):
        unpack(FORMAT, file(tmp_path, signed({}, b"", format=version)), ())
    reason = why(file(tmp_path, signed({}, b"", format=4, xhat_version="9." + "1" * 50)), ())
    assert reason == (
        f"written in format 4 by xhat 9.{'1' * 18}; this xhat reads formats up to 3: update xhat"
    )
    reason = why(file(tmp_path, signed({}, b"", format=10**30)), ())
    assert reason.startswith("written in format 1000000000 by xhat None;")


ARRAYS = A.tobytes() + bytes(4) + B.tobytes()


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (entry("F32", [3], 0, 12), entry("F64", [2, 2], 16, 48), "array 'b' does not lie where"),
        (entry("F32", [4], 0, 16), entry("F64", [2, 2], 8, 48), "array 'b' does not lie where"),
        (entry("F32", [1], 0, 4), entry("F64", [1], 4, 12), "array 'b' does not lie where"),
        (entry("F32", [3], 0, 16), entry("F64", [2, 2], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [5], 0, 16), entry("F64", [2, 2], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [4], -1, 15), entry("F64", [2, 2], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [4], 0, 2**62), entry("F64", [4], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [4], 0.0, 16), entry("F64", [4], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [4], False, 16), entry("F64", [4], 16, 48), "array 'a' does not lie where"),
        (entry("F32", [4], 0, 16), {"dtype": "F64", "shape": [4], "data_offsets": [16]},
         "array 'b' does not lie where"),
        (entry("F32", [4], 0, 16), {"dtype": "F64", "shape": [4], "data_offsets": {"0": 16}},
         "array 'b' does not lie where"),
        (entry("F32", [4], 0, 16), {"dtype": "F64", "shape": [4], "data_offsets": [16, 48, 0]},
         "array 'b' does not lie where"),
        (entry("F32", [4], 0, 16), entry("F64", [3], 16, 40), "its length is not what"),
        (entry("F32", [4], 0, 16), entry("F64", [5], 16, 56), "its length is not what"),
        (entry("F32", 4, 0, 16), entry("F64", [4], 16, 48), "array 'a' has no shape"),
        (entry("F32", {"4": 4}, 0, 16), entry("F64", [4], 16, 48), "array 'a' has no shape"),
        (entry("F32", [1, 2, 2], 0, 16), entry("F64", [4], 16, 48), "array 'a' has no shape"),
        (entry("F32", [-4], 0, 16), entry("F64", [4], 16, 48), "array 'a' has no shape"),
        (entry("F32", [True], 0, 4), entry("F64", [4], 16, 48), "array 'a' has no shape"),
        (entry("F16", [8], 0, 16), entry("F64", [4], 16, 48), "array 'a' holds no floating"),
        (entry(["F32"], [4], 0, 16), entry("F64", [4], 16, 48), "array 'a' holds no floating"),
        (entry("f32", [4], 0, 16), entry("F64", [4], 16, 48), "array 'a' holds no floating"),
        ({"dtype": "F32", "shape": [4]}, entry("F64", [4], 16, 48), "array 'a' is not described"),
        ({**entry("F32", [4], 0, 16), "x": 1}, entry("F64", [4], 16, 48), "array 'a' is not desc"),
        ([], entry("F64", [4], 16, 48), "array 'a' is not described as it must be"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_lie_where_they_must(tmp_path, a, b, reason):
    path = file(tmp_path, signed({"a": a, "b": b}, ARRAYS))
    assert why(path).startswith(reason)


def test_arrays_may_lie_in_any_order_and_have_no_numbers(tmp_path):
    entries = {"a": entry("F32", [3], 32, 44), "b": entry("F64", [2, 2], 0, 32),
               "c": entry("F32", [0, 5], 44, 44), "d": entry("F32", [], 44, 48)}  # fmt: skip
    data = B.tobytes() + A.tobytes() + np.float32(7).tobytes()
    found = unpack(FORMAT, file(tmp_path, signed(entries, data)), tuple("abcd"))[1]
    assert found["a"].tolist() == A.tolist()
    assert found["b"].tolist() == B.tolist()
    assert found["c"].shape == (0, 5)
    assert (found["d"].shape, found["d"].tolist()) == ((), 7.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_finite(tmp_path, value, dtype):
    arrays = {"a": np.array([1.0, value], dtype), "b": B}
    reason = "array 'a' holds values that are not finite numbers"
    assert why(file(tmp_path, pack(FORMAT, {}, arrays))) == reason


def test_the_digest(tmp_path):
    data = pack(FORMAT, {"n": 1}, {"a": A, "b": B})
    changed = "its SHA-256 does not match: it was changed or damaged"
    assert why(file(tmp_path, data[:-1] + bytes([data[-1] ^ 1]))) == changed
    assert why(file(tmp_path, data.replace(b'\\"n\\": 1', b'\\"n\\": 2'))) == changed
    at = data.index(b"sha256") + 12
    assert why(file(tmp_path, data[:at] + data[at : at + 64].upper() + data[at + 64 :])) == changed
    nowhere = "it has no digest where one must stand"
    assert why(file(tmp_path, signed({}, b"", x={"sha256": "0" * 64})), ()) == nowhere
    again = pack(FORMAT, {"n": '"sha256": "'}, {"a": A, "b": B})  # as a text it is escaped
    assert unpack(FORMAT, file(tmp_path, again), ("a", "b"))[0]["n"] == '"sha256": "'


def test_a_header_at_its_limits(tmp_path, monkeypatch):
    data = pack(FORMAT, {}, {})
    length = int.from_bytes(data[:8], "little")
    monkeypatch.setattr(container, "MAX_HEADER", length)
    unpack(FORMAT, file(tmp_path, data), ())
    monkeypatch.setattr(container, "MAX_HEADER", length - 1)
    assert why(file(tmp_path, data), ()) == LAYOUT
    monkeypatch.undo()
    for name, per, text in [("OBJECTS", "OBJECT", "lists"), ("TEXTS", "TEXT", "texts")]:
        monkeypatch.setattr(container, f"BYTES_PER_{per}", 10**9)
        monkeypatch.setattr(container, f"FREE_{name}", 4)
        value = ["[[], {}, []]", "[[], {}, [], []]"] if text == "lists" else [
            '["a", "b", "c", "d"]', '["a", "b", "c", "d", "e"]']  # fmt: skip
        container._parse(value[0].encode())
        with pytest.raises(Damaged, match=f"too many {text}"):
            container._parse(value[1].encode())
        monkeypatch.setattr(container, f"BYTES_PER_{per}", len(value[1]))
        container._parse(value[1].encode())
        monkeypatch.undo()
    assert container.MAX_HEADER == 64 * 2**20
    assert (container.FREE_OBJECTS, container.BYTES_PER_OBJECT) == (100_000, 50)
    assert (container.FREE_TEXTS, container.BYTES_PER_TEXT) == (500_000, 20)


def test_folders_pipes_and_missing_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert why(tmp_path / "pipe") == "not an xhat test file (a device or pipe, not a file)"
    with pytest.raises(IsADirectoryError):
        unpack(FORMAT, tmp_path, ())
    with pytest.raises(FileNotFoundError):
        unpack(FORMAT, tmp_path / "none", ())


# -- the header of a model -------------------------------------------------------------------------


def changed(inner, path, value):
    tree = json.loads(json.dumps(inner))
    target = tree
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return tree


NOT = "the field {!r} of its header is not what it must be"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("xhat_version",), 3), (("xhat_version",), "x" * 41), (("parameters",), []),
        (("columns",), {}), (("columns", 0), []), (("columns", 0, "name"), 3),
        (("columns", 0, "kind"), {"class": "Masking", "p": 0.1}),
        (("columns", 0, "kind"), {"class": "Nothing"}), (("columns", 0, "kind"), None),
        (("columns", 0, "kind"), {"class": "Real", "f": "linear", "scale": 3}),
        (("columns", 2, "places"), [3, 2, 1, -1]), (("columns", 2, "places"), "3210"),
        (("columns", 2, "width"), 2**40), (("columns", 2, "width"), 4.0),
        (("columns", 0, "extra"), 1), (("storage", 0, "name"), None),
        (("storage", 0, "form"), "text"), (("storage", 0, "form"), []),
        (("storage", 2, "levels"), ["a", None, "b", "c"]), (("storage", 2, "levels"), "abcd"),
        (("storage", 0, "reason"), None), (("named",), 1), (("network",), None),
        (("network", "k"), -1), (("network", "k"), True), (("network", "hidden"), [2.0]),
        (("network", "hidden"), 3), (("network", "activation"), "cos"),
        (("network", "activation"), ["silu"]), (("network", "code_activation"), "cos"),
        (("network", "tied"), 0), (("network", "linear_path"), None), (("network", "x"), None),
        (("baseline_k",), 1.5), (("verdict",), 3), (("verdict", "angles"), []),
        (("verdict", "angles"), ["a"]), (("verdict", "mean"), "x"), (("verdict", "extra"), 1),
        (("verdict", "by_column"), [[1.0, 2.0]]), (("verdict", "by_column"), [1.0, 2.0, 3.0]),
        (("verdict", "by_column"), [[1.0, 2.0, 3.0, 4.0]]), (("verdict", "by_column"), "x"),
        (("verdict", "is_pca"), 0), (("history",), []), (("history", "loss"), [1, "x"]),
        (("history", "loss"), 1.0), (("choices", "engine"), 3), (("choices",), None),
        (("epochs",), -1), (("epochs",), None), (("best_epoch",), "2"),
        (("identity_score",), "x"), (("rounds",), 0), (("rounds",), 101), (("rounds",), True),
        (("offset",), None), (("offset",), float("inf")), (("offset",), float("nan")),
        (("offset",), float("-inf")), (("offset",), 10**400),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_is_not_what_it_must_be(rich, refused, path, value):
    outer, inner, arrays = rich
    data = mutants.join(outer, changed(inner, path, value), arrays)
    assert refused(data) == NOT.format(path[0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("xhat_version",), "x" * 40), (("columns", 1, "kind"), {"class": "Auto", "scale": "std"}),
        (("verdict",), None), (("verdict", "angles"), [0.5]), (("verdict", "by_column"), None),
        (("verdict", "by_column"), [[1, 2, 3]] * 4), (("identity_score",), 2.5),
        (("rounds",), 100), (("rounds",), 1), (("offset",), -3), (("named",), False),
        (("history",), {}), (("choices",), {}), (("epochs",), 0),
        (("storage", 2, "levels"), [1, 1.5, True, "a"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_just_may_be_so(rich, refused, path, value):
    outer, inner, arrays = rich
    if path == ("columns", 1, "kind"):
        value = {"class": "Count"}
    assert refused(mutants.join(outer, changed(inner, path, value), arrays)) is None


def test_fields_missing_and_unknown(rich, refused):
    outer, inner, arrays = rich
    for name in set(inner) - {"format", "sha256"}:
        less = {key: value for key, value in inner.items() if key != name}
        reason = f"the field {name!r} of its header is missing or unknown"
        assert refused(mutants.join(outer, less, arrays)) == reason
    more = {**inner, "x" * 50: 1}
    reason = f"the field '{'x' * 39} of its header is missing or unknown"
    assert refused(mutants.join(outer, more, arrays)) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({("columns", 0, "name"): "other"}, "its table and its schema name different columns"),
        ({("storage", 0, "form"): "left out"}, "its table and its schema name different columns"),
        ({("columns",): [], ("storage",): []}, "its table and its schema name different columns"),
        ({("columns", 1, "name"): "real", ("storage", 1, "name"): "real"},
         "two of its columns have the same name"),
        ({("storage", 2, "levels"): ["a", "b", "c", "a"]}, "column 'level' has a level twice"),
        ({("storage", 2, "levels"): ["a", "b", "c"]}, "column 'level' has levels without a place"),
        ({("columns", 2, "places"): [3, 2, 1, 1]}, "column 'level' has levels without a place"),
        ({("columns", 2, "places"): [3, 2, 1, 4]}, "column 'level' has levels without a place"),
        ({("columns", 2, "width"): 5}, "column 'level' has levels without a place"),
        ({("columns", 2, "places"): [], ("columns", 2, "width"): 0, ("storage", 2, "levels"): []},
         "column 'level' has levels without a place"),
        ({("storage", 2, "form"): "number"}, "column 'level' has levels without a place"),
        ({("storage", 0, "form"): "level"}, "column 'real' has levels without a place"),
        ({("columns", 0, "places"): [0]}, "column 'real' has levels without a place"),
        ({("storage", 0, "levels"): ["a"]}, "column 'real' has levels without a place"),
        ({("columns", 0, "width"): 2}, "column 'real' has levels without a place"),
        ({("verdict", "by_column"): [[1.0, 2.0, 3.0]] * 3}, "its verdict has losses of other"),
        ({("verdict", "by_column"): [[1.0, 2.0, 3.0]] * 5}, "its verdict has losses of other"),
        ({("network", "k"): 0}, "a layer of its network has no units"),
        ({("network", "hidden"): [3, 0]}, "a layer of its network has no units"),
        ({("network", "hidden"): [1] * 1001}, "its network has more than 1000 layers"),
        ({("network", "hidden"): [1] * 1000}, "array 'theta' has shape (37,), its header says"),
        ({("network", "k"): 3}, "array 'theta' has shape (37,), its header says (52,)"),
        ({("baseline_k",): 0}, "its baseline has more units than columns"),
        ({("baseline_k",): 8}, "its baseline has more units than columns"),
        ({("baseline_k",): 7}, "array 'baseline' has shape"),
        ({("baseline_k",): 3}, "array 'baseline' has shape"),
        ({("parameters", "unknown"): 3}, "the model file is damaged (TypeError: "),
        ({("parameters", "stopping"): {"class": "EarlyStopping", "patience": "x", "min_delta": 0}},
         "the model file is damaged (TypeError: EarlyStopping.patience is not what it must be: 'x'"),
        ({("parameters", "stopping"): {"class": "EarlyStopping", "patience": 3}},
         "the model file is damaged (TypeError: EarlyStopping does not have its fields"),
        ({("parameters", "stopping"): {"class": "os.system"}}, "the model file is damaged (KeyErr"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_parts_of_the_header_that_do_not_agree(rich, refused, changes, reason):
    outer, inner, arrays = rich
    for path, value in changes.items():
        inner = changed(inner, path, value)
    assert refused(mutants.join(outer, inner, arrays)).startswith(reason)


def test_a_declared_width_takes_no_memory(rich, refused):
    """2**40 - 1 passes for a size; the levels of one column were once counted up to it."""
    outer, inner, arrays = rich
    data = mutants.join(outer, changed(inner, ("columns", 2, "width"), 10**7), arrays)
    tracemalloc.start()
    try:
        assert refused(data) == "column 'level' has levels without a place"
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_the_first_files_had_no_losses_by_column(rich, refused):
    outer, inner, arrays = rich
    old = {name: value for name, value in inner["verdict"].items() if name != "by_column"}
    assert refused(mutants.join(outer, {**inner, "verdict": old}, arrays)) is None


def test_two_levels_of_one_value_and_two_types(rich, refused):
    outer, inner, arrays = rich
    inner = changed(inner, ("storage", 2, "levels"), [1, True, 1.0, "1"])
    assert refused(mutants.join(outer, inner, arrays)) is None


# -- arrays that do not fit ------------------------------------------------------------------------


def with_array(model, name, change):
    outer, inner, arrays = model
    begin, end = outer[name]["data_offsets"]
    values = np.frombuffer(arrays[begin:end], {"F64": "<f8", "F32": "<f4"}[outer[name]["dtype"]])
    values = values.reshape(outer[name]["shape"]).copy()
    change(values)
    return mutants.join(outer, inner, arrays[:begin] + values.tobytes() + arrays[end:])


SCALE = loading.SCALE


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("spread", 0.0, "column 'flag' has no scale"), ("spread", -1.0, "column 'flag' has no scale"),
        ("weight", 0.0, "column 'flag' has no scale"), ("weight", -1.0, "column 'flag' has no scale"),
        ("rows", -1.0, "column 'flag' has no scale"), ("rows", 0.0, None), ("spread", 1e-9, None),
        ("clip_low", 9.0, "column 'flag' has no range"), ("low", 9.0, "column 'flag' has no range"),
        ("clip_low", "clip_high", None), ("low", "high", None),
    ],
)  # fmt: skip
def test_scales(rich, refused, field, value, reason):
    def change(scale):
        other = scale[1, SCALE.index(value)] if isinstance(value, str) else value
        scale[1, SCALE.index(field)] = other

    assert refused(with_array(rich, "scale", change)) == reason


def test_residuals_are_spreads(rich, refused):
    for value in (0.0, -1.0):
        reason = refused(with_array(rich, "residual", lambda r, v=value: r.__setitem__(2, v)))
        assert reason == "array 'residual' holds a spread that is not > 0"


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("residual", lambda s: [s[0], 1], "array 'residual' has shape (7, 1), its header says (7,)"),
        ("scale", lambda s: [s[1], s[0]], "array 'scale' has shape (8, 4), its header says (4, 8)"),
        ("fill", lambda s: [1, s[0]], "array 'fill' has shape (1, 7), its header says (7,)"),
        ("theta", lambda s: [s[0], 1], "array 'theta' has shape"),
        ("baseline", lambda s: [1, s[0]], "array 'baseline' has shape"),
        ("baseline_mean", lambda s: [1, s[0]], "array 'baseline_mean' has shape"),
        ("held_out_scores", lambda s: [1, s[0]], "array 'held_out_scores' is no list of numbers"),
    ],
)  # fmt: skip
def test_shapes(rich, refused, name, shape, reason):
    outer, inner, arrays = rich
    outer = {**outer, name: {**outer[name], "shape": shape(outer[name]["shape"])}}
    assert refused(mutants.join(outer, inner, arrays)).startswith(reason)


def test_everything_of_the_model_comes_back(rich, tmp_path):
    outer, inner, arrays = rich
    path = file(tmp_path, mutants.join(outer, inner, arrays))
    ae, fitted = load(path), rich_model()
    assert ae.get_params() == fitted.get_params()
    assert ae.feature_names_in_.tolist() == ["real", "flag", "level", "count"]
    assert (ae.n_features_in_, ae.offset_) == (4, fitted.offset_)
    for name in ("choices_", "history_", "verdict_", "heads_", "n_iter_", "hidden_"):
        assert getattr(ae, name) == getattr(fitted, name), name
    assert to_bytes(ae) == path.read_bytes()
    assert persist.read_header(path) == inner | {"sha256": persist.read_header(path)["sha256"]}


def test_a_seed_that_is_an_object_is_not_stored(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 2))
    for seed, stored in [(np.random.RandomState(3), None), (np.int64(3), 3), (None, None)]:
        Autoencoder(1, max_iter=1, random_state=seed).fit(X).save(tmp_path / "m.xhat")
        assert persist.read_header(tmp_path / "m.xhat")["parameters"]["random_state"] == stored
        assert load(tmp_path / "m.xhat").random_state == stored


# -- values of a closed list of classes ------------------------------------------------------------


def test_values_there_and_back():
    value = {"a": OneCycle(1e-3), "b": (1, 2.5, None, "x", True), "c": [EarlyStopping(3)]}
    back = plain.rebuild(json.loads(json.dumps(plain.plain(value))))
    assert back == {"a": OneCycle(1e-3), "b": (1, 2.5, None, "x", True), "c": (EarlyStopping(3),)}
    assert plain.plain({"n": np.float32(0.5)}) == {"map": [["n", 0.5]]}
    old = {"class": "EarlyStopping", "patience": 3, "min_delta": 0.5}
    assert plain.rebuild(old) == EarlyStopping(3, 0.5)  # written before there was an averaging
    with pytest.raises(TypeError, match="a file cannot hold <class"):  # nor are objects of others
        plain.plain(OneCycle)


@pytest.mark.parametrize(
    "value",
    [
        {"class": "Path"}, {"class": "OneCycle"}, {"class": ["OneCycle"]}, {"klass": "OneCycle"},
        {"class": "OneCycle", "rate": 1e-3, "warmup": 0.1, "extra": 1}, {"map": 3},
        {"class": "OneCycle", "rate": "1", "warmup": 0.1}, {"map": [[3, 4]]}, {"map": [["a"]]},
        {"map": [["a", 1]], "more": 1}, {}, [{"class": "Path"}], {"map": [["a", {"class": "x"}]]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_value(value):
    with pytest.raises((KeyError, TypeError, ValueError)):
        plain.rebuild(value)


@pytest.mark.parametrize(
    ("value", "hint", "good"),
    [
        (1, int, True), (1.0, int, False), (True, int, False), (True, bool, True), (1, bool, False),
        (1, float, True), (1.5, float, True), (True, float, False), ("1", float, False),
        (None, None, True), (0, None, False), (None, type(None), True), (False, type(None), False),
        (None, int | None, True), ("x", int | None, False), (2, int | None, True),
        ("x", str, True), (["x"], list[str], True), (["x", 1], list[str], False),
        ("x", list[str], False), ((1, 2), tuple[int, ...], True), ((1, "2"), tuple[int, ...], False),
        ("a", header.Form, False), ("time", header.Form, True), (["time"], header.Form, False),
        ([], list[int], True), ([[1]], list[list[int]], True), ([[1.5]], list[list[int]], False),
    ],
    ids=str,
)  # fmt: skip
def test_types(value, hint, good):
    assert fields.conforms(value, hint) is good


def test_the_codes_part_of_the_score(refused, monkeypatch):
    ae = rich_model()
    part = ae._fit.model.code
    wrong = "array 'code_constants' holds a number that is not what it must be"
    for change, reason in (
        ({"stored": part.stored[:5]}, "array 'code_stored' holds 5 codes"),
        ({"stored": np.tile(part.stored, (40, 1))[:264]}, "array 'code_stored' holds 264 codes"),
        ({"stored": part.stored[:, :1]}, "array 'code_stored' has shape"),
        ({"unit": 0.0}, wrong),
        ({"usual": -1.0}, wrong),
        ({"weight": -1.0}, wrong),
    ):
        monkeypatch.setattr(ae._fit.model, "code", replace(part, **change))
        assert refused(to_bytes(ae)).startswith(reason)
    monkeypatch.setattr(ae._fit.model, "code", None)
    assert refused(to_bytes(ae)) is None
