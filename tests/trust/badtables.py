"""Tables with one planted fault each, and the row and column that the error must name.

``bad_tables(rng, count)`` yields (file name, bytes, Fault). The model was fitted on columns a to h
of numbers; rows count from 0, lines of a text file from 1 with the header as line 1.
"""

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse

NAMES = list("abcdefgh")


@dataclass(frozen=True)
class Fault:
    kind: str
    row: int | None = None
    column: str | None = None

    def is_named(self, text):
        """Whether an error says where it is."""
        row, column = True, True
        if self.row is not None:
            places = (f"row {self.row}", f"line {self.row + 2}", f"row {self.row + 2} (the header")
            row = any(f"{place}{end}" in text for place in places for end in " ,:;.)\n(")
        if self.column is not None:
            column = repr(self.column) in text or f": {self.column};" in text
        return row and column


def table(rng):
    return rng.normal(size=(int(rng.integers(20, 120)), len(NAMES))).round(4)


def cell(rng, X):
    return int(rng.integers(len(X))), int(rng.integers(len(NAMES)))


# -- text ------------------------------------------------------------------------------------------


def lines_of(X, delimiter=","):
    return [delimiter.join(NAMES), *(delimiter.join(map(str, row)) for row in X.tolist())]


def text(lines):
    return ("\n".join(lines) + "\n").encode()


def with_cell(X, i, j, value, delimiter=","):
    lines = lines_of(X, delimiter)
    cells = lines[i + 1].split(delimiter)
    cells[j] = value
    lines[i + 1] = delimiter.join(cells)
    return lines


def csv_cell(value, delimiter=","):
    def make(rng, X):
        i, j = cell(rng, X)
        return text(with_cell(X, i, j, value, delimiter)), i, NAMES[j]

    return make


def csv_short(rng, X):
    i, _ = cell(rng, X)
    lines = lines_of(X)
    lines[i + 1] = lines[i + 1].rsplit(",", int(rng.integers(1, 4)))[0]
    return text(lines), i, None


def csv_long(rng, X):
    i, _ = cell(rng, X)
    lines = lines_of(X)
    lines[i + 1] += ",7"
    return text(lines), i, None


def csv_open_quote(rng, X):
    i, j = cell(rng, X)
    return text(with_cell(X, i, j, '"1.5')), i, None


def csv_nul(rng, X):
    i, j = cell(rng, X)
    return text(with_cell(X, i, j, "1\0.5")), i, NAMES[j]


def csv_not_utf8(rng, X):
    i, j = cell(rng, X)
    return text(with_cell(X, i, j, "@")).replace(b"@", b"\xff\xe9"), i, None


def csv_utf16(rng, X):
    return text(lines_of(X)).decode().encode("utf-16"), None, None


def csv_header(change):
    def make(rng, X):
        j = int(rng.integers(len(NAMES) - 1))
        lines = lines_of(X)
        names, column = change(list(NAMES), j)
        lines[0] = ",".join(names)
        return text(lines), None, column

    return make


def duplicate(names, j):
    names[j] = names[j + 1]
    return names, names[j]


def rename(names, j):
    gone, names[j] = names[j], "other"
    return names, gone


def csv_missing(rng, X):
    j = int(rng.integers(len(NAMES)))
    kept = [c for c in range(len(NAMES)) if c != j]
    lines = [",".join(line.split(",")[c] for c in kept) for line in lines_of(X)]
    return text(lines), None, NAMES[j]


def constant(data):
    return lambda rng, X: (data, None, None)


CSV = {
    "text in a number": csv_cell("n.a.?"),
    "decimal comma": csv_cell("3,5", ";"),
    "thousands separator": csv_cell('"1,234.5"'),
    "number beyond float64": csv_cell("1e400"),
    "infinity": csv_cell("-inf"),
    "date in a number": csv_cell("2024-02-30"),
    "unit behind a number": csv_cell("12 kg"),
    "short row": csv_short,
    "long row": csv_long,
    "open quote": csv_open_quote,
    "NUL": csv_nul,
    "not UTF-8": csv_not_utf8,
    "UTF-16": csv_utf16,
    "duplicate name": csv_header(duplicate),
    "renamed column": csv_header(rename),
    "missing column": csv_missing,
    "empty file": constant(b""),
    "blank lines only": constant(b"\n \n\n"),
    "header only": constant(text([",".join(NAMES)])),
    "binary": lambda rng, X: (b"\x00\x01" + rng.bytes(500), None, None),
}


# -- Parquet and Arrow -----------------------------------------------------------------------------


def columns_of(X):
    return {name: pa.array(X[:, j]) for j, name in enumerate(NAMES)}


def arrow(change):
    def make(rng, X):
        columns = columns_of(X)
        names, arrays, row, column = change(rng, X, columns)
        return pa.table(arrays, names=names), row, column

    return make


def arrow_cell(value, kind="number"):
    def change(rng, X, columns):
        i, j = cell(rng, X)
        values = [str(v) for v in X[:, j]] if kind == "text" else X[:, j].tolist()
        values[i] = value
        columns[NAMES[j]] = pa.array(values)
        return list(columns), list(columns.values()), i, NAMES[j]

    return arrow(change)


def arrow_names(change):
    def make(rng, X, columns):
        j = int(rng.integers(len(NAMES) - 1))
        names, column = change(list(NAMES), j)
        return names, list(columns.values()), None, column

    return arrow(make)


def arrow_missing(rng, X, columns):
    j = int(rng.integers(len(NAMES)))
    columns.pop(NAMES[j])
    return list(columns), list(columns.values()), None, NAMES[j]


def arrow_list(rng, X, columns):
    j = int(rng.integers(len(NAMES)))
    columns[NAMES[j]] = pa.array([[v] for v in X[:, j]])
    return list(columns), list(columns.values()), None, NAMES[j]


def arrow_struct(rng, X, columns):
    j = int(rng.integers(len(NAMES)))
    columns[NAMES[j]] = pa.array([{"v": v} for v in X[:, j]])
    return list(columns), list(columns.values()), None, NAMES[j]


def arrow_empty(rng, X, columns):
    return list(columns), [array[:0] for array in columns.values()], None, None


ARROW = {
    "text in a number": arrow_cell("n.a.?", "text"),
    "infinity": arrow_cell(float("inf")),
    "minus infinity": arrow_cell(float("-inf")),
    "duplicate name": arrow_names(duplicate),
    "renamed column": arrow_names(rename),
    "missing column": arrow(arrow_missing),
    "lists as cells": arrow(arrow_list),
    "records as cells": arrow(arrow_struct),
    "no rows": arrow(arrow_empty),
}


def to_parquet(data):
    out = io.BytesIO()
    pq.write_table(data, out, write_page_checksum=True, compression="none", use_dictionary=False)
    return out.getvalue()


def to_arrow(data):
    out = io.BytesIO()
    with pa.ipc.new_file(out, data.schema) as writer:
        writer.write_table(data)
    return out.getvalue()


def cut(rng, data):
    return data[: int(rng.integers(1, len(data) - 1))]


def flip_data(rng, data):
    """Flip a bit of the numbers of a column; one in front of them may change nothing."""
    j, out = int(rng.integers(len(NAMES))), bytearray(data)
    chunk = pq.read_metadata(io.BytesIO(data)).row_group(0).column(j)
    end = chunk.data_page_offset + chunk.total_compressed_size
    out[end - int(rng.integers(1, 8 * chunk.num_values + 1))] ^= 1 << int(rng.integers(8))
    return bytes(out)


# -- npy, npz, sparse ------------------------------------------------------------------------------


def npy(X):
    out = io.BytesIO()
    np.save(out, X, allow_pickle=True)
    return out.getvalue()


def array_cell(value):
    def change(rng, X):
        i, j = cell(rng, X)
        X[i, j] = value
        return X, i, NAMES[j]

    return change


def one_column_less(rng, X):
    return X[:, 1:], None, None


ARRAYS = {
    "infinity": array_cell(np.inf),
    "minus infinity": array_cell(-np.inf),
    "wrong number of columns": one_column_less,
    "one dimension": lambda rng, X: (X[:, 0], None, None),
    "three dimensions": lambda rng, X: (X[None], None, None),
    "no rows": lambda rng, X: (X[:0], None, None),
    "objects": lambda rng, X: (X.astype(object), None, None),
    "text": lambda rng, X: (X.astype(str), None, None),
    "complex numbers": lambda rng, X: (X.astype(complex), None, None),
    "records": lambda rng, X: (X[:, :1].copy().view([("v", "f8")]), None, None),
}


def claim_more(rng, data):
    return data.replace(b", 8)", b",88)")


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def npz_crc(rng, X):
    data = bytearray(zipped({"X": npy(X)}, zipfile.ZIP_STORED))
    data[int(rng.integers(200, 800))] ^= 16
    return bytes(data)


def sparse_parts(X):
    S = scipy.sparse.csr_array(np.where(np.abs(X) > 0.7, X, 0.0))
    assert S.nnz > 20
    return {"data": S.data.copy(), "indices": S.indices.copy(), "indptr": S.indptr.copy(),
            "shape": np.array(S.shape), "format": np.array(b"csr")}  # fmt: skip


def row_of(parts, entry):
    return int(np.searchsorted(parts["indptr"], entry, side="right")) - 1


def sparse_index(rng, parts):
    entry = int(rng.integers(len(parts["indices"])))
    parts["indices"][entry] = int(rng.choice([-1, 8, 2**30]))
    return row_of(parts, entry), None


def sparse_infinity(rng, parts):
    entry = int(rng.integers(len(parts["data"])))
    parts["data"][entry] = np.inf
    return row_of(parts, entry), NAMES[parts["indices"][entry]]


def sparse_indptr(rng, parts):
    row = int(rng.integers(1, len(parts["indptr"]) - 2))
    parts["indptr"][row] = parts["indptr"][-1] + 5
    return row, None


def sparse_shape(rng, parts):
    parts["shape"] = np.array([parts["shape"][0], 9])
    return None, None


def sparse_rows(rng, parts):
    parts["shape"] = np.array([parts["shape"][0] + 3, 8])
    return None, None


def sparse_part(rng, parts):
    parts.pop(str(rng.choice(["data", "indices", "indptr", "shape"])))
    return None, None


def sparse_objects(rng, parts):
    parts["data"] = parts["data"].astype(object)
    return None, None


SPARSE = {
    "column index out of range": sparse_index,
    "infinity": sparse_infinity,
    "row pointers out of order": sparse_indptr,
    "wrong number of columns": sparse_shape,
    "wrong number of rows": sparse_rows,
    "a part is missing": sparse_part,
    "objects": sparse_objects,
}


def kinds():
    """Return (format, kind) of all faults."""
    found = [("csv", kind) for kind in CSV]
    for form in ("parquet", "arrow"):
        found += [(form, kind) for kind in ARROW]
        found += [(form, kind) for kind in ("cut off", "not this format", "empty file")]
    found.append(("parquet", "bit flip"))
    for form in ("npy", "npz"):
        found += [(form, kind) for kind in (*ARRAYS, "cut off", "not this format", "empty file")]
    found += [
        ("npy", "claims more"),
        ("npy", "longer"),
        ("npz", "two arrays"),
        ("npz", "CRC error"),
    ]
    return found + [("sparse", kind) for kind in (*SPARSE, "cut off")]


def make(form, kind, rng):
    """Return (file name, bytes, Fault)."""
    X = table(rng)
    row = column = None
    if form == "csv":
        data, row, column = CSV[kind](rng, X)
        return "t.csv", data, Fault(kind, row, column)
    if form in ("parquet", "arrow"):
        write = to_parquet if form == "parquet" else to_arrow
        if kind in ARROW:
            content, row, column = ARROW[kind](rng, X)
            return f"t.{form}", write(content), Fault(kind, row, column)
        data = write(pa.table(columns_of(X)))
        change = {"cut off": lambda: cut(rng, data), "not this format": lambda: text(lines_of(X)),
                  "empty file": lambda: b"", "bit flip": lambda: flip_data(rng, data)}  # fmt: skip
        data = change[kind]()
        return f"t.{form}", data, Fault(kind)
    if form == "sparse":
        parts = sparse_parts(X)
        if kind in SPARSE:
            row, column = SPARSE[kind](rng, parts)
        data = zipped({name: npy(part) for name, part in parts.items()})
        return "t.npz", cut(rng, data) if kind == "cut off" else data, Fault(kind, row, column)
    if kind in ARRAYS:
        X, row, column = ARRAYS[kind](rng, X)
    data = npy(X) if form == "npy" else zipped({"X": npy(X)})
    changed = {
        "cut off": lambda: cut(rng, data),
        "not this format": lambda: text(lines_of(X)),
        "empty file": lambda: b"",
        "claims more": lambda: claim_more(rng, data),
        "longer": lambda: data + data,
        "two arrays": lambda: zipped({"X": npy(X), "Y": npy(X)}),
        "CRC error": lambda: npz_crc(rng, X),
    }
    return f"t.{form}", changed[kind]() if kind in changed else data, Fault(kind, row, column)
