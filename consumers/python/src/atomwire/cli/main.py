"""`atomwire-consumer`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

import zmq

from atomwire.account.books import NoBooksError
from atomwire.account.query import read_account
from atomwire.account.report import as_json, as_text
from atomwire.bus.waker import Waker
from atomwire.cli import config
from atomwire.cli.admin import Admin
from atomwire.cli.settings import ConfigError
from atomwire.cli.summary import Summary
from atomwire.ingest.engine import Engine
from atomwire.ingest.run import stopped_by_signals
from atomwire.ingest.sinks import RowSink
from atomwire.log import fields, log_to_stderr
from atomwire.otel.spans import open_spans
from atomwire.storage.database import connect
from atomwire.storage.errors import StorageError
from atomwire.storage.prune import prune
from atomwire.storage.schema import MIGRATIONS

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

    from atomwire.cli.config import Config
    from atomwire.cli.settings import Setting
    from atomwire.storage.database import Database
    from atomwire.storage.url import DatabaseUrl

PROGRAM = "atomwire-consumer"
EX_USAGE = 64
"""The exit status of a wrong configuration (sysexits.h)."""

_log = logging.getLogger("atomwire")


def main(argv: list[str] | None = None) -> int:
    """Run a command (`consume` unless another is named) and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _GENERAL):
        arguments = ["consume", *arguments]
    flags, unknown = _parser().parse_known_args(arguments)
    try:
        return _COMMANDS[flags.command](flags, unknown)
    except ConfigError as error:
        return _usage(error.problems)


def _consume(flags: Namespace, unknown: list[str]) -> int:
    settings = config.read_config(flags, os.environ, unknown)
    log_to_stderr()
    database = connect(settings.database)
    sink = RowSink(database, settings.consumer, settings.topic)
    spans = open_spans(settings.otlp)
    with Waker() as waker:
        try:
            engine = Engine(settings.replay, settings.consumer, settings.topic, sink, spans, waker)
            admin = Admin(engine, settings.admin)
        except zmq.ZMQError as error:
            return _usage([f"{config.REPLAY.names}: {error}"])
        except OSError as error:
            return _usage([f"{config.ADMIN.names}: {error.strerror}"])
        with admin, Summary(engine), stopped_by_signals(waker, database):
            _log.info("started", extra=_told(settings))
            usable = _run(engine)
    spans.close()
    totals = engine.totals
    _log.info("stopped", extra=fields(**dataclasses.asdict(totals)))
    return 1 if not usable or totals.updates.unstored or totals.ledger.unstored else 0


def _run(engine: Engine) -> bool:
    """Run until stopped; False when the database is none to write to."""
    try:
        engine.run()
    except StorageError as error:
        _log.error("database unusable", extra=fields(error=str(error)))
        return False
    return True


def _check(flags: Namespace, unknown: list[str]) -> int:
    print(json.dumps(_told(config.read_config(flags, os.environ, unknown))["fields"], indent=2))
    return 0


def _account(flags: Namespace, unknown: list[str]) -> int:
    try:
        account = read_account(config.read_database(flags, os.environ, unknown).text)
    except NoBooksError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(as_json(account)) if flags.json else as_text(account))
    return 0 if account.balanced else 1


def _migrate(flags: Namespace, unknown: list[str]) -> int:
    return _with_database(config.read_target(flags, os.environ, unknown), _open)


def _prune(flags: Namespace, unknown: list[str]) -> int:
    url, older_than = config.read_prune(flags, os.environ, unknown)
    return _with_database(url, lambda database: f"pruned {prune(database, older_than).total():,} updates")


def _open(database: Database) -> str:
    with database.transaction():  # to connect is to bring the tables up to date
        return f"the tables have version {len(MIGRATIONS)}"


def _with_database(url: DatabaseUrl, work: Callable[[Database], str]) -> int:
    with closing(connect(url)) as database:
        try:
            print(work(database))
        except StorageError as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            return 1
    return 0


def _told(settings: Config) -> dict[str, Any]:
    return fields(
        endpoint=settings.replay,
        consumer=settings.consumer,
        topic=settings.topic,
        database=str(settings.database),
        admin=None if settings.admin is None else "{}:{}".format(*settings.admin),
    )


_COMMANDS = {
    "consume": _consume,
    "check": _check,
    "account": _account,
    "migrate": _migrate,
    "prune": _prune,
}
_GENERAL = ("-h", "--help", "--version")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(_usage([message]))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Atomwire's consumer. Without a command: consume.")
    parser.add_argument("--version", action="version", version=version("atomwire"))
    commands = parser.add_subparsers(title="commands", metavar="command", dest="command")

    def add(name: str, does: str, settings: Iterable[Setting[Any]], more: str = "") -> ArgumentParser:
        told = f"{does[0].upper()}{does[1:]}. {more}".strip()
        command = commands.add_parser(name, help=does, description=told)
        command.add_argument(
            "--config", metavar="FILE", help="TOML; flags and variables win [env ATOMWIRE_CONFIG]"
        )
        for setting in settings:
            setting.add_to(command)
        return command

    add("consume", "write a relay's updates into a database", config.CONSUME)
    add("check", "say what consume would run with, or all that is wrong with it", config.CONSUME)
    status = "Exit status: 0 when every update is accounted for, 1 when not."
    account = add("account", "say where every update is", [config.DATABASE], status)
    account.add_argument("--json", action="store_true", help="as one JSON object")
    add("migrate", "make the tables, or bring them up to date", [config.DATABASE])
    add("prune", "remove what is old and accounted for", [config.DATABASE, config.OLDER_THAN])
    return parser


def _usage(problems: list[str]) -> int:
    for problem in problems:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
    return EX_USAGE
