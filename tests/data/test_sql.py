"""Queries as tables: a real SQLite file, and the PostgreSQL server of tests/postgresql.sh."""

import os
import sqlite3

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.__main__ import run
from xhat.data import sql
from xhat.errors import DataError, ParameterError

pytest.importorskip("adbc_driver_manager")
QUERY = "select id, a, b, town from measured order by id"


def rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        a = float(rng.normal())
        town = ["x", "y", "z"][int(rng.integers(3))]
        yield i, None if i % 9 == 5 else a, 2 * a + float(rng.normal(scale=0.1)), town


@pytest.fixture
def database(tmp_path):
    pytest.importorskip("adbc_driver_sqlite")
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table measured (id integer, a real, b real, town text)")
        connection.executemany("insert into measured values (?, ?, ?, ?)", rows())
    connection.close()
    return str(path)


def command(*words):
    """Run a command line; return its exit code."""
    return run(list(words))


def test_fit_and_score_a_query(database, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TEST_DATABASE", database)
    monkeypatch.chdir(tmp_path)
    source = ["--sql", QUERY, "--adbc", "sqlite", "--uri", "ENV:TEST_DATABASE", "--id", "id"]
    assert command("fit", *source, "-o", "m.xhat", "--epochs", "5") == 0
    assert "400 rows, 3 columns (2 real, 1 categorical)" in capsys.readouterr().err
    assert command("score", "m.xhat", *source, "-o", "s.csv") == 0
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "id,score,outlier"
    assert [line.split(",")[0] for line in lines[1:]] == [str(i) for i in range(400)]
    assert command("impute", "m.xhat", *source, "-o", "i.csv") == 0
    assert ",," not in (tmp_path / "i.csv").read_text()


def test_what_goes_wrong_is_one_line_without_the_address(database, tmp_path):
    query = sql.Query("select a from nowhere", "sqlite", database)
    with pytest.raises(DataError, match="no such table: nowhere") as caught:
        sql.open_query(query)
    assert database not in str(caught.value)
    with pytest.raises(DataError, match="cannot connect"):
        sql.open_query(sql.Query("select 1", "sqlite", str(tmp_path / "no" / "such.db")))


@pytest.mark.parametrize("address", ["postgresql://me:secret@localhost/db", "host=x password=y"])
def test_passwords_are_refused_on_the_command_line(address):
    with pytest.raises(ParameterError, match="ENV:NAME") as caught:
        sql.address_of(address)
    assert "secret" not in str(caught.value)


def test_an_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE", raising=False)
    with pytest.raises(ParameterError, match="TEST_DATABASE"):
        sql.address_of("ENV:TEST_DATABASE")


def test_the_options_go_together(tmp_path, capsys):
    assert command("fit", "--sql", "select 1") == 64
    assert command("fit") == 64
    assert command("fit", "t.csv", "--sql", "q", "--adbc", "sqlite", "--uri", "file:x") == 64


@pytest.fixture
def server():
    address = os.environ.get("XHAT_TEST_POSTGRESQL")
    assert address or not os.environ.get("CI"), "CI runs the tests under tests/postgresql.sh"
    if not address:
        pytest.skip("XHAT_TEST_POSTGRESQL is not set: tests/postgresql.sh starts a server")
    manager = pytest.importorskip("adbc_driver_manager.dbapi")
    driver = pytest.importorskip("adbc_driver_postgresql")._driver_path()
    with manager.connect(driver=driver, db_kwargs={"uri": address}) as connection:
        with connection.cursor() as cursor:
            cursor.execute("drop table if exists measured")
            cursor.execute(
                "create table measured (id bigint, a double precision, b numeric(12, 4), "
                "town text, day date, at timestamptz, yes boolean, small smallint)"
            )
            for i, a, b, town in rows(300):
                cursor.execute(
                    f"insert into measured values ({i}, {'null' if a is None else a}, {b}, "
                    f"'{town}', date '2020-01-01' + {i}, timestamptz '2020-01-01' + "
                    f"interval '{i} hours', {i % 2 == 0}, {i % 7})"
                )
        connection.commit()
    return address


def test_a_postgresql_table_is_fitted_scored_and_filled(server, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TEST_DATABASE", server)
    monkeypatch.chdir(tmp_path)
    query = "select * from measured order by id"
    source = ["--sql", query, "--adbc", "postgresql", "--uri", "ENV:TEST_DATABASE", "--id", "id"]
    assert command("fit", *source, "-o", "m.xhat", "--epochs", "5") == 0
    assert "300 rows, 7 columns (5 real, 1 categorical, 1 binary)" in capsys.readouterr().err
    assert command("impute", "m.xhat", *source, "-o", "i.parquet") == 0
    import pyarrow.parquet as pq

    found = pq.read_table(tmp_path / "i.parquet")
    assert found.num_rows == 300
    assert found.column("a").null_count == 0
    assert str(found.schema.field("day").type) == "date32[day]"
    assert found.schema.field("at").type.tz == "UTC"


def test_a_wrong_password_is_not_shown():
    pytest.importorskip("adbc_driver_postgresql")
    address = "postgresql://nobody:geheim@127.0.0.1:1/none"
    with pytest.raises(DataError, match="cannot connect") as caught:
        sql.open_query(sql.Query("select 1", "postgresql", address))
    assert "geheim" not in str(caught.value)


def test_a_query_in_python_is_a_stream(database):
    stream = sql.open_query(sql.Query(QUERY, "sqlite", database))
    ae = Autoencoder(n_components=1, max_iter=3, random_state=0).fit(stream.drop(["id"]))
    assert ae.feature_names_in_.tolist() == ["a", "b", "town"]
