"""`python -m atomwire`: the runnable consumer."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import zmq

from atomwire import _config
from atomwire._account import NoBooksError, read_account
from atomwire._consumer import Consumer
from atomwire._feed import Feed
from atomwire._log import fields, log_to_stderr
from atomwire._replay import Replay
from atomwire._report import as_json, as_text
from atomwire._store import Store
from atomwire._subscription import DEFAULT_BUS, DEFAULT_TOPIC, Subscription, subscribe
from atomwire._telemetry import start_tracing, stop_tracing

if TYPE_CHECKING:
    from sqlalchemy import URL

    from atomwire._message import Message

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
    setting = f"--bus ({_config.ENV_BUS})"
    with ExitStack() as sockets:
        try:
            subscription = sockets.enter_context(subscribe(config.bus, config.topic, ledger=True))
            setting = f"--replay ({_config.ENV_REPLAY})"
            replay = Replay(config.replay, subscription) if config.replay else None
        except zmq.ZMQError as error:
            return _usage([f"{setting}: {error}"])
        if replay is not None:
            sockets.callback(replay.close)
        tracing = start_tracing(config.otlp_protocol)
        _stop_on_signals(subscription)
        store = Store(config.database, tracing)
        feed = Feed(subscription, replay, config.bus, config.topic)
        consumer = Consumer(feed, store, subscription.wait)
        known = consumer.open(config.bus)
        if known is not None:
            _log.info(
                "subscribed",
                extra=fields(
                    endpoint=config.bus,
                    replay=config.replay,
                    topic=config.topic,
                    # Without its query too, in which libpq also takes a password.
                    database=config.database.set(query={}).render_as_string(hide_password=True),
                ),
            )
            consumer.run(known)
        store.close()
    stop_tracing(tracing)
    totals = consumer.totals
    _log.info("stopped", extra=fields(**dataclasses.asdict(totals), bad=dict(subscription.bad)))
    return 1 if totals.updates.unstored or totals.ledger.unstored else 0


def _account(database: URL, *, json_wanted: bool) -> int:
    try:
        account = read_account(database)
    except NoBooksError as error:
        print(f"atomwire: {error}", file=sys.stderr)
        return 1
    print(json.dumps(as_json(account)) if json_wanted else as_text(account))
    return 0 if account.balanced else 1


def _stop_on_signals(subscription: Subscription[Message]) -> None:
    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one kills
        subscription.stop()

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
    consume = commands.add_parser("consume", help="write updates from the bus into a database")
    consume.add_argument(
        "--bus", metavar="ENDPOINT", help=_help("the relay's bus", _config.ENV_BUS, DEFAULT_BUS)
    )
    consume.add_argument(
        "--replay",
        metavar="ENDPOINT",
        help=_help(
            "the relay's replay socket; empty: none", _config.ENV_REPLAY, "the bus's host, and the next port"
        ),
    )
    consume.add_argument(
        "--topic", metavar="PREFIX", help=_help("topics to subscribe to", _config.ENV_TOPIC, DEFAULT_TOPIC)
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
