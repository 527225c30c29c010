"""The consumer's settings: flag, then environment variable, then default. All problems are found at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from atomwire._reader import DEFAULT_CONSUMER, DEFAULT_REPLAY, MAX_PREFIX_BYTES
from atomwire._subscription import DEFAULT_TOPIC

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

ENV_REPLAY = "ATOMWIRE_REPLAY"
ENV_CONSUMER = "ATOMWIRE_CONSUMER"
ENV_TOPIC = "ATOMWIRE_TOPIC"
ENV_DATABASE_URL = "DATABASE_URL"
DEFAULT_DATABASE_URL = "sqlite:///atomwire.sqlite"

ENV_TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
TRACES_EXPORTERS = ("otlp", "none")
ENV_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
ENV_TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
PROTOCOLS = ("grpc", "http/protobuf")

_ENDPOINT = re.compile(r"tcp://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})|ipc://\S+", re.ASCII)
_MAX_PORT = 65_535
_CONSUMER = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ConfigError(Exception):
    """Every problem of the configuration, none of which quotes a value: one might be a password."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Config:
    """What `python -m atomwire consume` runs with."""

    replay: str
    consumer: str
    topic: str
    database: URL
    otlp_protocol: str | None
    """None: spans are not exported."""


def parse(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> Config:
    """Read the settings, or raise `ConfigError` with all that is wrong, `unknown` arguments included."""
    problems = _unknown(unknown)

    # An empty variable counts as unset, as OpenTelemetry's do.
    replay = environ.get(ENV_REPLAY) or DEFAULT_REPLAY if flags.replay is None else flags.replay
    endpoint = _ENDPOINT.fullmatch(replay)
    if endpoint is None or (endpoint[1] and not 0 < int(endpoint[1]) <= _MAX_PORT):
        problems.append(f"--replay ({ENV_REPLAY}): not tcp://host:port (1 to {_MAX_PORT}) or ipc://path")

    consumer = environ.get(ENV_CONSUMER) or DEFAULT_CONSUMER if flags.consumer is None else flags.consumer
    if _CONSUMER.fullmatch(consumer) is None:
        problems.append(f"--consumer ({ENV_CONSUMER}): not 1 to 64 letters, digits, '.', '_' and '-'")

    topic = flags.topic or environ.get(ENV_TOPIC) or DEFAULT_TOPIC
    if len(topic.encode(errors="surrogateescape")) > MAX_PREFIX_BYTES:
        problems.append(f"--topic ({ENV_TOPIC}): longer than {MAX_PREFIX_BYTES} bytes")

    database = _database(flags, environ, problems)
    protocol = _otlp_protocol(environ, problems)
    if problems:
        raise ConfigError(problems)
    return Config(replay, consumer, topic, database, protocol)


def parse_database(flags: Namespace, environ: Mapping[str, str], unknown: list[str]) -> URL:
    """Read the one setting of who only reads the books: a database that is there; or raise `ConfigError`."""
    problems = _unknown(unknown)
    url = _database(flags, environ, problems)
    if url.drivername == "sqlite" and not problems and not Path(url.database or "").is_file():
        problems.append(f"--database-url ({ENV_DATABASE_URL}): the SQLite file does not exist")
    if problems:
        raise ConfigError(problems)
    return url


def _unknown(arguments: list[str]) -> list[str]:
    # Without what follows a =, where a misspelt --database-url has its password.
    return [f"unknown argument {argument.partition('=')[0]}" for argument in arguments]


def _database(flags: Namespace, environ: Mapping[str, str], problems: list[str]) -> URL:
    text = flags.database_url or environ.get(ENV_DATABASE_URL) or DEFAULT_DATABASE_URL
    name = f"--database-url ({ENV_DATABASE_URL})"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        problems.append(f"{name}: not a database URL")
        return make_url(DEFAULT_DATABASE_URL)
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        if find_spec("psycopg") is None:
            problems.append(f"{name}: PostgreSQL needs psycopg: pip install 'atomwire[postgresql]'")
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite":
        problems.append(f"{name}: neither sqlite:// nor postgresql://")
    elif not url.database or url.database == ":memory:":
        problems.append(f"{name}: names no SQLite file")
    elif not Path(url.database).absolute().parent.is_dir():
        problems.append(f"{name}: the SQLite file's directory does not exist")
    return url


def _otlp_protocol(environ: Mapping[str, str], problems: list[str]) -> str | None:
    exporter = environ.get(ENV_TRACES_EXPORTER) or "otlp"
    if exporter not in TRACES_EXPORTERS:
        problems.append(f"{ENV_TRACES_EXPORTER}: not one of {', '.join(TRACES_EXPORTERS)}")
    if exporter == "none":
        return None
    name = ENV_TRACES_PROTOCOL if environ.get(ENV_TRACES_PROTOCOL) else ENV_PROTOCOL
    protocol = environ.get(name) or PROTOCOLS[0]
    if protocol not in PROTOCOLS:
        problems.append(f"{name}: not one of {', '.join(PROTOCOLS)}")
    return protocol
