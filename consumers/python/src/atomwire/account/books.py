"""One moment of a database's books, read-only, whichever database it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from atomwire.storage.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Generator

Rows: TypeAlias = Callable[..., Iterable[tuple[Any, ...]]]
"""Gives the rows of a statement, written for SQLite. The one parameter that it may take is a JSON array, read
by `json_each(?)`."""

_SQLITE_HAS_BOOKS = "SELECT 1 FROM sqlite_master WHERE name = 'atomwire_schema'"
_POSTGRESQL_HAS_BOOKS = "SELECT 1 WHERE to_regclass('atomwire_schema') IS NOT NULL"

MMAP_BYTES = 2**31
"""Of an SQLite file that are read where the system has them, without a copy: as much as SQLite's default
build allows."""

_POSTGRESQL_SETTINGS = (
    # A hundred thousand sessions are grouped in memory: 4 MiB by default are not enough.
    "SET LOCAL work_mem = '128MB'",
    # The key alone is read, in whatever order it lies: there is more of the rows, most of it values.
    "SET LOCAL random_page_cost = 1",
    # Compiling takes longer than it saves.
    "SET LOCAL jit = off",
)


class NoBooksError(Exception):
    """The database cannot be read, or has no books that this program understands."""


@contextmanager
def reading(database: str) -> Generator[Rows, None, None]:
    """Read `sqlite:///file` or `postgresql://…` as it is at one moment. Raises `NoBooksError`."""
    if database.startswith("sqlite:"):
        with _sqlite(database.removeprefix("sqlite:///")) as rows:
            _check(rows, _SQLITE_HAS_BOOKS)
            yield rows
    else:
        with _postgresql(database) as rows:
            _check(rows, _POSTGRESQL_HAS_BOOKS)
            yield rows


def _check(rows: Rows, has_books: str) -> None:
    if not list(rows(has_books)):
        raise NoBooksError("the database has no books: no consumer has written to it")
    ((version,),) = rows("SELECT version FROM atomwire_schema")
    if version != len(MIGRATIONS):
        raise NoBooksError(f"the books have version {version}; this program reads version {len(MIGRATIONS)}")


@contextmanager
def _sqlite(path: str) -> Generator[Rows, None, None]:
    uri = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
            connection.execute("BEGIN")

            def rows(statement: str, *parameters: str) -> Iterable[tuple[Any, ...]]:
                return connection.execute(statement, parameters)

            yield rows
    except sqlite3.Error as error:
        raise _unreadable(error) from None


@contextmanager
def _postgresql(url: str) -> Generator[Rows, None, None]:
    import psycopg  # noqa: PLC0415 - an extra

    try:
        with closing(psycopg.connect(url)) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            for setting in _POSTGRESQL_SETTINGS:
                connection.execute(setting)

            def rows(statement: str, *parameters: str) -> Iterable[tuple[Any, ...]]:
                translated = statement.replace("json_each(?)", "json_array_elements_text(%s)")
                return connection.execute(translated.encode(), parameters)

            yield rows
    except psycopg.Error as error:
        # libpq quotes what it cannot take of a URL, and that may be the password.
        is_url = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
        raise _unreadable("not a database URL" if is_url else error) from None


def _unreadable(error: Exception | str) -> NoBooksError:
    return NoBooksError(f"the database cannot be read: {error}".partition("\n")[0])
