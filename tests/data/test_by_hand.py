"""What new users type, on small tables of the shapes of well-known ones: no option but the file."""

import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from xhat import __main__ as main
from xhat.data import blocks
from xhat.data.readers import read_table

pytestmark = pytest.mark.filterwarnings("default")
N = 90


def adult():
    """No header, ``?`` for missing, a blank behind every comma."""
    rng = np.random.default_rng(0)
    age = rng.integers(17, 90, N)
    work = np.where(rng.random(N) < 0.1, "?", rng.choice(["Private", "State-gov"], N))
    pay = np.where(age + rng.normal(0, 10, N) > 50, ">50K", "<=50K")
    rows = zip(age, work, rng.integers(10_000, 900_000, N), pay, strict=True)
    return "\n".join(", ".join(map(str, row)) for row in rows) + "\n"


def ames():
    """Tabs in a .txt, NA that means "has none", a code with leading zeros, names with blanks."""
    rng = np.random.default_rng(1)
    area = rng.integers(800, 4000, N)
    lines = ["Order\tMS SubClass\tLot Area\tPool QC\tYear Built\tSale Price"]
    for i in range(N):
        lot = "" if i % 9 == 0 else area[i]
        pool = ["NA", "Gd", "Ex"][min(2, i % 12)]
        cells = (i + 1, rng.choice(["020", "060"]), lot, pool, 1900 + i, 100 * area[i] + 7 * i)
        lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def titanic():
    """Names and tickets that are nearly unique, quoted commas, a column mostly empty."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "Survived": rng.integers(0, 2, N),
            "Name": [f"Smith, Mr. Number {i} (born {i})" for i in range(N)],
            "Sex": rng.choice(["male", "female"], N),
            "Age": np.where(rng.random(N) < 0.2, np.nan, rng.integers(1, 80, N)),
            "SibSp": rng.choice([0, 0, 0, 1, 2, 3], N),
            "Ticket": [f"PC {i % 80}" for i in range(N)],
            "Fare": np.round(rng.exponential(30, N), 4),
            "Cabin": np.where(rng.random(N) < 0.8, None, "C85"),
        }
    )
    return frame.to_csv(index=False)


def penguins():
    """A row with nothing but its species; numbers with and without a fraction."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "species": rng.choice(["Adelie", "Gentoo"], N),
            "bill": np.round(rng.normal(40, 5, N), 1),
            "mass": rng.integers(2700, 6300, N).astype(object),
            "sex": rng.choice(["MALE", "FEMALE"], N),
        }
    )
    frame.loc[4, ["bill", "mass", "sex"]] = None
    frame.loc[11, "sex"] = None
    return frame.to_csv(index=False)


TABLES = {
    "adult.csv": (adult, ["--no-header", "--missing", "?"], []),
    "ames.txt": (ames, [], []),
    "titanic.csv": (titanic, [], ["Name", "Ticket"]),
    "penguins.csv": (penguins, [], []),
}


def cells(path, flags):
    kinds = {"missing": ["?"], "header": False} if flags else {}
    return read_table(str(path), **kinds).data


@pytest.mark.parametrize("name", TABLES)
def test_fit_score_explain_impute(name, tmp_path, monkeypatch, capsys):
    make, flags, left_out = TABLES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(make())
    before = cells(name, flags)
    holes = {"adult.csv": make().count("?"), "ames.txt": N // 9, "penguins.csv": 4}
    nulls = sum(column.null_count for column in before.columns)
    assert nulls == holes.get(name, nulls) > 0
    assert main.run(["fit", name, *flags]) == 0
    words = capsys.readouterr().err
    for column in left_out:
        assert f"column '{column}' is left out" in words
    assert words.count("is left out") == len(left_out)
    assert f"{N} rows, {before.num_columns - len(left_out)} columns" in words
    for command in ("score", "explain", "impute"):
        assert main.run([command, "model.xhat", name, *flags, "-o", f"{command}.csv"]) == 0
    assert capsys.readouterr().err == ""
    score, reasons = pd.read_csv("score.csv"), pd.read_csv("explain.csv")
    assert list(score.columns) == ["score", "outlier"]
    assert list(reasons.columns) == [*before.column_names, "(code)", "top"]
    parts = reasons[before.column_names].to_numpy()
    np.testing.assert_allclose(parts.sum(axis=1) + reasons["(code)"], score["score"], rtol=1e-12)
    strange = parts.any(axis=1)  # a row with one cell may have nothing strange about it: no top
    most = np.array(before.column_names)[parts.argmax(axis=1)]
    assert (reasons["top"] == most)[strange].all()
    assert reasons["top"][~strange].isna().all()
    assert strange.sum() >= N - 1
    assert (parts[pd.DataFrame(before.to_pydict()).isna().to_numpy()] == 0).all()
    # The written table reads back with the same columns, order, types; seen cells are the same.
    text = (tmp_path / "impute.csv").read_text()
    header = next(csv.reader(io.StringIO(text)))
    assert header == before.column_names
    after = cells("impute.csv", [])
    for field, old, new in zip(before.schema, before.columns, after.columns, strict=True):
        assert new.type == field.type or pa.types.is_floating(field.type), field
        gaps = 0
        for was, now in zip(old.to_pylist(), new.to_pylist(), strict=True):
            gaps += was is None and now is None
            assert was is None or now == was
        assert gaps == (old.null_count if field.name in left_out else 0)


def test_empty_rows_are_said_once_with_the_rows_of_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},{i % 7 + 0.5}" for i in range(500)]
    lines[123] = lines[300] = lines[301] = ","
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(lines) + "\n")
    assert main.run(["fit", "t.csv", "--epochs", "1", "--quiet"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(blocks, "BLOCK", 500)
    assert main.run(["score", "model.xhat", "t.csv", "-o", "s.csv"]) == 0
    words = capsys.readouterr().err
    assert (
        words == "warning: 3 rows have no observed cell (the first is row 123): their score is 0\n"
    )
    assert pd.read_csv("s.csv")["score"][[123, 300, 301]].tolist() == [0, 0, 0]
    assert main.run(["score", "model.xhat", "t.csv", "-o", "s.csv", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
