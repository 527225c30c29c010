"""A database of either kind, and its transactions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from atomwire.storage.errors import Refused, StorageError
from atomwire.storage.sqlite import Sqlite
from atomwire.storage.url import parse_url

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from atomwire.storage.driver import Driver, Transaction
    from atomwire.storage.url import DatabaseUrl


def connect(url: str | DatabaseUrl) -> Database:
    """Name a database; it is connected to when needed. Raises `UrlError`."""
    named = parse_url(url) if isinstance(url, str) else url
    if named.system == "sqlite":
        return Database(Sqlite(named.path))
    # psycopg is there for those alone who need it.
    from atomwire.storage.postgresql import PostgreSql  # noqa: PLC0415

    return Database(PostgreSql(named.text))


class Database:
    """One connection, made when needed, and again after it was lost or closed; the tables are made with it.

    No statement takes longer than some 5 s: what is locked until then is `Unavailable`, and so is a server
    that stands still. One thread uses it; `interrupt` is for any.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def attributes(self) -> Mapping[str, str | int]:
        """The database, as spans name it; complete once it has been reached."""
        return self._driver.attributes

    @contextmanager
    def transaction(self) -> Generator[Transaction, None, None]:
        """Commit what the body does; or nothing, when an exception leaves it.

        Raises `Unavailable`, `Refused` or `Unusable` for any of the driver's errors that leaves the body. Of
        a commit that fails nobody knows whether it took effect: what is done again must be stored once.
        """
        try:
            with self._meaning():
                self._driver.open()
                self._driver.begin()
                try:
                    yield self._driver
                    self._driver.commit()
                except BaseException:
                    self._roll_back()
                    raise
        except StorageError as error:
            # It is lost, or in an unknown state, but where the database only refuses rows.
            if not isinstance(error, Refused):
                self.close()
            raise

    @contextmanager
    def savepoint(self) -> Generator[None, None, None]:
        """Undo what the body does when it raises `Refused`; the transaction it is in may go on."""
        self._driver.execute("SAVEPOINT atomwire")
        try:
            with self._meaning():
                yield
        except Refused:
            self._driver.execute("ROLLBACK TO SAVEPOINT atomwire")
            self._driver.execute("RELEASE SAVEPOINT atomwire")
            raise
        self._driver.execute("RELEASE SAVEPOINT atomwire")

    def interrupt(self) -> None:
        """Have what runs, if anything does, fail as `Unavailable`. For any thread and for signal handlers."""
        self._driver.interrupt()

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        self._driver.close()

    def _roll_back(self) -> None:
        try:
            self._driver.rollback()
        except self._driver.error:
            self._driver.close()

    @contextmanager
    def _meaning(self) -> Generator[None, None, None]:
        """Turn the driver's errors into what they mean."""
        try:
            yield
        except self._driver.error as error:
            # Further lines (PostgreSQL's DETAIL) quote the row.
            text = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise self._driver.meaning(error)(text) from error
