"""What the commands run with: every problem is found at once, before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from atomwire.bus.reader import DEFAULT_CONSUMER, DEFAULT_REPLAY, MAX_PREFIX_BYTES
from atomwire.bus.subscription import DEFAULT_TOPIC
from atomwire.cli.settings import ConfigError, Setting, Source
from atomwire.otel.settings import read_otlp
from atomwire.storage.url import parse_url

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from atomwire.otel.settings import Otlp
    from atomwire.storage.url import DatabaseUrl

_T = TypeVar("_T")

_ENDPOINT = re.compile(r"tcp://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})|ipc://\S+", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})", re.ASCII)
_MAX_PORT = 65_535
_CONSUMER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AGE = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _endpoint(text: str) -> str:
    match = _ENDPOINT.fullmatch(text)
    if match is None or (match[1] and not 0 < int(match[1]) <= _MAX_PORT):
        raise ValueError(f"not tcp://host:port (1 to {_MAX_PORT}) or ipc://path")
    return text


def _consumer(text: str) -> str:
    if _CONSUMER.fullmatch(text) is None:
        raise ValueError("not 1 to 64 letters, digits, '.', '_' and '-'")
    return text


def _topic(text: str) -> str:
    if len(text.encode(errors="surrogateescape")) > MAX_PREFIX_BYTES:
        raise ValueError(f"longer than {MAX_PREFIX_BYTES} bytes")
    return text


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > _MAX_PORT:
        raise ValueError(f"not host:port (0 to {_MAX_PORT})")
    return match[1].strip("[]"), int(match[2])


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError("not a number followed by s, m, h or d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


REPLAY = Setting(
    "replay", "ATOMWIRE_REPLAY", "ENDPOINT", "the relay's replay socket", DEFAULT_REPLAY, _endpoint
)
CONSUMER = Setting(
    "consumer", "ATOMWIRE_CONSUMER", "NAME", "under which positions are kept", DEFAULT_CONSUMER, _consumer
)
TOPIC = Setting("topic", "ATOMWIRE_TOPIC", "PREFIX", "topics to read", DEFAULT_TOPIC, _topic)
DATABASE = Setting(
    "database-url",
    "DATABASE_URL",
    "URL",
    "sqlite:///file or postgresql://…",
    "sqlite:///atomwire.sqlite",
    parse_url,
)
ADMIN = Setting(
    "admin",
    "ATOMWIRE_ADMIN",
    "HOST:PORT",
    "where to serve /health, /ready, /metrics",
    "",
    _address,
)
OLDER_THAN = Setting(
    "older-than", "ATOMWIRE_OLDER_THAN", "AGE", "what was stored so long ago: 12h, 30d", "", _age
)

CONSUME = (REPLAY, CONSUMER, TOPIC, DATABASE, ADMIN)


@dataclass(frozen=True, slots=True)
class Config:
    """What `consume` runs with."""

    replay: str
    consumer: str
    topic: str
    database: DatabaseUrl
    admin: tuple[str, int] | None
    otlp: Otlp | None
    """Where spans go; None: nowhere."""


def read_config(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> Config:
    """Read all settings, or raise `ConfigError` with all that is wrong, `unknown` arguments included."""
    source = _source(flags, environ, unknown)
    replay, consumer, topic = source.take(REPLAY), source.take(CONSUMER), source.take(TOPIC)
    database, admin = source.take(DATABASE), source.take(ADMIN)
    otlp = read_otlp(environ, source.problems)
    return Config(
        _found(source, replay),
        _found(source, consumer),
        _found(source, topic),
        _found(source, database),
        admin,
        otlp,
    )


def read_target(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> DatabaseUrl:
    """Read which database is to have the books, or raise `ConfigError`."""
    source = _source(flags, environ, unknown)
    return _found(source, source.take(DATABASE))


def read_database(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> DatabaseUrl:
    """Read which database has the books: one that is there; or raise `ConfigError`."""
    source = _source(flags, environ, unknown)
    return _found(source, _existing(source))


def read_prune(
    flags: Namespace, environ: Mapping[str, str], unknown: list[str]
) -> tuple[DatabaseUrl, timedelta]:
    """Read which database has the books, and what is old; or raise `ConfigError`."""
    source = _source(flags, environ, unknown)
    database, age = _existing(source), source.take(OLDER_THAN)
    if age is None and not any(OLDER_THAN.names in problem for problem in source.problems):
        source.problems.append(f"{OLDER_THAN.names}: is missing")
    return _found(source, database), _found(source, age)


def _existing(source: Source) -> DatabaseUrl | None:
    database = source.take(DATABASE)
    if database is not None and database.system == "sqlite" and not Path(database.path).is_file():
        source.problems.append(f"{DATABASE.names}: the SQLite file does not exist")
    return database


def _found(source: Source, value: _T | None) -> _T:
    if source.problems or value is None:
        raise ConfigError(source.problems)
    return value


def _source(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> Source:
    source = Source(flags, environ, unknown)
    path = flags.config or environ.get("ATOMWIRE_CONFIG")
    if path:
        source.open(Path(path), (*CONSUME, OLDER_THAN))
    return source
