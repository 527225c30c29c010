"""What a database's errors mean to who writes to it: wait, go on without these rows, or end."""

from __future__ import annotations


class StorageError(Exception):
    """A database's error in its own words: one line that quotes no password and, mostly, no value.

    The driver's exception is its cause.
    """

    @property
    def type(self) -> str:
        """The `error.type` of spans: the SQLSTATE where there is one, or the class of the driver's error."""
        return getattr(self.__cause__, "sqlstate", None) or type(self.__cause__ or self).__qualname__


class Unavailable(StorageError):  # noqa: N818 - what the database is
    """The database is away, busy, or full: the same may well succeed later."""


class Refused(StorageError):  # noqa: N818 - what the rows are
    """The database will say no to these rows for ever, and yes to others."""


class Unusable(StorageError):  # noqa: N818 - what the database is
    """Neither time nor other rows will help: somebody has to change the database, or the settings."""
