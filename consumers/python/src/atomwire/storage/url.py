"""Names a database: `sqlite:///file` or `postgresql://user:password@host:port/database`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_SQLITE = re.compile(r"sqlite:(?://(?:/(?P<file>[^?]*))?)?")
# Of what libpq takes, all but userinfo that is not percent-encoded: it would be taken for something else.
_POSTGRESQL = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^:@/?#]*)(?::[^@/?#]*)?@)?"
    r"(?P<hosts>(?:[\w.%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?(?:,(?:[\w.%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?)*)"
    r"(?:/(?P<database>[^?@#]*))?(?:\?[^#]*)?"
)


class UrlError(ValueError):
    """What is wrong with a URL, which is not quoted."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A URL that names a database; as text it has neither password nor parameters."""

    system: Literal["sqlite", "postgresql"]
    text: str = field(repr=False)
    """The whole of it, for libpq."""
    path: str
    """SQLite's file."""
    _shown: str

    def __str__(self) -> str:
        return self._shown


def parse_url(text: str) -> DatabaseUrl:
    """Read a URL, or raise `UrlError`: of SQLite the directory must exist, of PostgreSQL the driver."""
    scheme, separator, _ = text.partition(":")
    if not separator:
        raise UrlError("not a database URL")
    if scheme == "sqlite":
        return _sqlite(text)
    if scheme in ("postgres", "postgresql"):
        return _postgresql(text)
    raise UrlError("neither sqlite:// nor postgresql://")


def _sqlite(text: str) -> DatabaseUrl:
    match = _SQLITE.fullmatch(text)
    if match is None:
        raise UrlError("not a database URL")
    path = match["file"] or ""
    if path in ("", ":memory:"):
        raise UrlError("names no SQLite file")
    if not Path(path).absolute().parent.is_dir():
        raise UrlError("the SQLite file's directory does not exist")
    return DatabaseUrl("sqlite", text, path, text)


def _postgresql(text: str) -> DatabaseUrl:
    match = _POSTGRESQL.fullmatch(text)
    if match is None:
        raise UrlError("not a database URL")
    try:
        # It is there for those alone who need it.
        import psycopg.conninfo  # noqa: PLC0415
    except ImportError:
        raise UrlError("PostgreSQL needs psycopg: pip install 'atomwire[postgresql]'") from None
    try:
        psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        raise UrlError("not a database URL") from None
    user = f"{match['user']}@" if match["user"] else ""
    return DatabaseUrl(
        "postgresql", text, "", f"postgresql://{user}{match['hosts']}/{match['database'] or ''}"
    )
