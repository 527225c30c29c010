"""`python -m atomwire`: the runnable consumer."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import signal
import sys
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import zmq

from atomwire import _config
from atomwire._account import NoBooksError, read_account
from atomwire._consumer import Consumer
from atomwire._feed import Feed
from atomwire._log import fields, log_to_stderr
from atomwire._reader import DEFAULT_CONSUMER, DEFAULT_REPLAY, Reader
from atomwire._report import as_json, as_text
from atomwire._store import Store
from atomwire._subscription import DEFAULT_TOPIC
from atomwire._telemetry import start_tracing, stop_tracing
from atomwire._waker import Waker

if TYPE_CHECKING:
    from sqlalchemy import URL

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
        if flags.command == "account":
            return _account(_config.parse_database(flags, os.environ, unknown), json_wanted=flags.json)
        return _consume(_config.parse(flags, os.environ, unknown))
    except _config.ConfigError as error:
        return _usage(error.problems)


def _consume(config: _config.Config) -> int:
    log_to_stderr()
    with Waker() as waker:
        try:
            reader = Reader(config.replay, config.consumer, config.topic, waker)
        except zmq.ZMQError as error:
            return _usage([f"--replay ({_config.ENV_REPLAY}): {error}"])
        with closing(reader):
            tracing = start_tracing(config.otlp_protocol)
            _stop_on_signals(waker)
            store = Store(config.database, config.consumer, tracing)
            consumer = Consumer(store, waker.wait)
            known = consumer.open()
            if known is not None:
                _log.info(
                    "reading",
                    extra=fields(
                        endpoint=config.replay,
                        consumer=config.consumer,
                        topic=config.topic,
                        # Without its query too, in which libpq also takes a password.
                        database=config.database.set(query={}).render_as_string(hide_password=True),
                    ),
                )
                consumer.run(Feed(reader, config.topic, known))
            store.close()
    stop_tracing(tracing)
    totals = consumer.totals
    _log.info("stopped", extra=fields(**dataclasses.asdict(totals), bad=dict(reader.bad)))
    return 1 if totals.updates.unstored or totals.ledger.unstored else 0


def _account(database: URL, *, json_wanted: bool) -> int:
    try:
        account = read_account(database)
    except NoBooksError as error:
        print(f"atomwire: {error}", file=sys.stderr)
        return 1
    print(json.dumps(as_json(account)) if json_wanted else as_text(account))
    return 0 if account.balanced else 1


def _stop_on_signals(waker: Waker) -> None:
    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one kills
        waker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


_GENERAL = ("-h", "--help", "--version")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(_usage([message]))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m atomwire", description="Atomwire's consumer. Without a command: consume."
    )
    parser.add_argument("--version", action="version", version=version("atomwire"))
    commands = parser.add_subparsers(title="commands", metavar="command", dest="command")
    consume = commands.add_parser("consume", help="write a relay's updates into a database")
    consume.add_argument(
        "--replay",
        metavar="ENDPOINT",
        help=_help("the relay's replay socket", _config.ENV_REPLAY, DEFAULT_REPLAY),
    )
    consume.add_argument(
        "--consumer",
        metavar="NAME",
        help=_help("under which positions are kept", _config.ENV_CONSUMER, DEFAULT_CONSUMER),
    )
    consume.add_argument(
        "--topic", metavar="PREFIX", help=_help("topics to read", _config.ENV_TOPIC, DEFAULT_TOPIC)
    )
    account = commands.add_parser(
        "account",
        help="say where every update is",
        description="Prints the books of a database. Exit status: 0 when they are balanced, 1 when not.",
    )
    account.add_argument("--json", action="store_true", help="as one JSON object")
    for command in (consume, account):
        command.add_argument(
            "--database-url",
            metavar="URL",
            help=_help(
                "sqlite:///file or postgresql://…", _config.ENV_DATABASE_URL, _config.DEFAULT_DATABASE_URL
            ),
        )
    return parser


def _help(what: str, variable: str, default: str) -> str:
    return f"{what} [env {variable}; default {default}]"


def _usage(problems: list[str]) -> int:
    for problem in problems:
        print(f"atomwire: {problem}", file=sys.stderr)
    return EX_USAGE


if __name__ == "__main__":
    sys.exit(main())
