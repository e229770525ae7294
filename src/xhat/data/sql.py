"""Rows of a database through ADBC: one query, read once, in batches.

Knows: ADBC drivers, where addresses with passwords may stand. Must not know: models. The extra is
``xhat[db]``; the drivers of SQLite and PostgreSQL are packages of their own, any other is a shared
library.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from xhat.data.stream import Stream, of_arrow
from xhat.data.table import Table
from xhat.errors import DataError, MissingExtraError, ParameterError

#: Drivers that come as packages.
PACKAGES = {"sqlite": "adbc_driver_sqlite", "postgresql": "adbc_driver_postgresql"}
#: SQLite has no column types: the driver guesses them from so many rows.
SQLITE_ROWS = 65_536


@dataclass(frozen=True)
class Query:
    """What to ask, through which driver, of which database."""

    sql: str
    driver: str
    address: str = field(repr=False)  # may hold a password


def address_of(text: str) -> str:
    """Return the address that ``ENV:NAME`` stands for; without a password it may stand there.

    Raises
    ------
    ParameterError
        If the variable is not set, or a password is on the command line.

    Examples
    --------
    >>> address_of("file:table.db")
    'file:table.db'
    """
    if text.startswith("ENV:"):
        found = os.environ.get(text[4:])
        if not found:
            raise ParameterError(f"--uri {text}: the environment variable {text[4:]!r} is not set")
        return found
    if re.search(r"://[^/@\s]*:[^/@\s]*@", text) or "password" in text.lower():
        raise ParameterError(
            "--uri holds a password, which every user of this computer can see: put the address "
            "into an environment variable and give --uri ENV:NAME"
        )
    return text


def open_query(query: Query, scratch: str | None = None) -> Stream:
    """Run a query and return its rows; they can be walked over once.

    Raises
    ------
    DataError
        In one line, without the address, if the database refuses.
    MissingExtraError
        If the driver is not installed.
    """
    manager, driver = _driver(query.driver)
    try:
        connection = manager.connect(driver=driver, db_kwargs={"uri": query.address})
    except manager.Error as error:
        raise DataError(f"cannot connect: {_reason(error, query)}") from None
    try:
        cursor = connection.cursor()
        if query.driver == "sqlite":
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(SQLITE_ROWS)})
        cursor.execute(query.sql)
        stream = of_arrow(cursor.fetch_record_batch())
    except manager.Error as error:
        connection.close()
        raise DataError(f"the query failed: {_reason(error, query)}") from None
    chunks = stream.chunks

    def walk() -> Iterator[Table]:
        try:
            yield from chunks()
        except (manager.Error, OSError) as error:
            raise DataError(f"the query failed: {_reason(error, query)}") from None
        finally:
            cursor.close()
            connection.close()

    return replace(stream, chunks=walk, scratch=scratch)


def _driver(name: str) -> tuple[Any, str]:
    """Return the driver manager's module and the driver's shared library."""
    try:
        manager = importlib.import_module("adbc_driver_manager.dbapi")
        if name not in PACKAGES:
            return manager, name
        return manager, str(importlib.import_module(PACKAGES[name])._driver_path())  # noqa: SLF001
    except ImportError:
        package = PACKAGES.get(name, "adbc_driver_manager").replace("_", "-")
        raise MissingExtraError(
            f"--adbc {name} needs {package}: pip install 'xhat[db]' {package}"
        ) from None


def _reason(error: Exception, query: Query) -> str:
    """Return the error in one line, without the address, which may hold a password."""
    text = " ".join(str(error).split()).replace(query.address, "<address>")
    return re.sub(r"://[^/@\s]*@", "://", text)
