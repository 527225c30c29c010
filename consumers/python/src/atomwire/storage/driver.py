"""What `Database` needs of a driver, and what others see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atomwire.storage.errors import StorageError

Parameters: TypeAlias = "Sequence[Any]"


class Transaction(Protocol):
    """Statements that take effect together. `%s` stands for a parameter, in either kind of database."""

    @property
    def connection(self) -> Any:
        """The driver's own: a `sqlite3.Connection` or `psycopg.Connection`. It is not to be committed."""
        ...

    def execute(self, statement: str, parameters: Parameters = ()) -> None:
        """Run a statement whose result nobody needs.

        It may be sent along with a later one: its error is then raised there, or by the commit.
        """
        ...

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> None:
        """Run it once for each row."""
        ...

    def changed(self, statement: str, parameters: Parameters = ()) -> int:
        """Run a statement and return how many rows it wrote."""
        ...

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        ...

    def insert_updates(self, rows: Sequence[Parameters]) -> int:
        """Write rows of `atomwire_updates`, all columns in their order; return how many were not there."""
        ...


class Driver(Transaction, Protocol):
    """One connection."""

    error: type[Exception]
    """The base of what the driver raises."""
    attributes: Mapping[str, str | int]
    """The database, as spans name it (semantic conventions v1.45)."""

    def open(self) -> None:
        """Connect, and bring the schema up to date, unless that is done already."""
        ...

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        ...

    def interrupt(self) -> None:
        """Have what runs fail at once. For any thread and for signal handlers."""
        ...

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def commit(self) -> None:
        """Commit it."""
        ...

    def rollback(self) -> None:
        """Undo it."""
        ...

    def meaning(self, error: Exception) -> type[StorageError]:
        """Say what one of its errors means."""
        ...
