"""Read Atomwire's updates from the ZeroMQ bus and continue their traces.

>>> from atomwire import process, subscribe
>>> with subscribe("tcp://127.0.0.1:5555") as updates:  # doctest: +SKIP
...     for update in updates:
...         with process(update):
...             print(update.key, update.value)
"""

from atomwire._message import (
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
from atomwire._subscription import Subscription, subscribe
from atomwire._tracing import process

__all__ = [
    "LEDGER_TOPIC",
    "BadMessage",
    "Ledger",
    "Loss",
    "Message",
    "RelayEnd",
    "SessionEnd",
    "SessionStart",
    "Subscription",
    "Update",
    "process",
    "subscribe",
]
