"""Read Atomwire's updates from the ZeroMQ bus and continue their traces.

>>> from atomwire import process, subscribe
>>> with subscribe("tcp://127.0.0.1:5555") as updates:  # doctest: +SKIP
...     for update in updates:
...         with process(update):
...             print(update.key, update.value)
"""

from atomwire.bus.message import (
    LEDGER_TOPIC,
    BadMessage,
    Ledger,
    Loss,
    Message,
    RelayEnd,
    SessionEnd,
    SessionStart,
    Update,
)
from atomwire.bus.subscription import Subscription, subscribe
from atomwire.ingest.run import run
from atomwire.ingest.run_async import AsyncConnection, run_async
from atomwire.ingest.totals import Tally, Totals
from atomwire.otel.process import process
from atomwire.storage.errors import Refused, Unusable
from atomwire.storage.url import UrlError

__all__ = [
    "LEDGER_TOPIC",
    "AsyncConnection",
    "BadMessage",
    "Ledger",
    "Loss",
    "Message",
    "Refused",
    "RelayEnd",
    "SessionEnd",
    "SessionStart",
    "Subscription",
    "Tally",
    "Totals",
    "Unusable",
    "Update",
    "UrlError",
    "process",
    "run",
    "run_async",
    "subscribe",
]
