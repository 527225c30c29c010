"""Bus messages as frozen objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

LEDGER_TOPIC = "atomwire.ledger"
"""The topic on which the relay publishes what was lost, and which sessions, and which relay, ended."""


class BadMessage(Exception):  # noqa: N818 - the name of the thing, not of its class of things
    """A bus message outside the contract.

    `field` and `problem` are this library's own words and never hold anything from the message, so both are
    fit for a log line and `str(error)` for a counter's label.
    """

    def __init__(self, field: str, problem: str, session: str | None = None, seq: int | None = None) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.session = session
        """Of an update that is none: its session and its number, where both can be read all the same."""
        self.seq = seq


class Update(msgspec.Struct, frozen=True, gc=False):
    """One atom write."""

    topic: str
    key: str
    value_json: str | None
    """The value's JSON text exactly as it was published, or None when there is none."""
    traceparent: str
    """W3C trace context of the relay's PRODUCER span."""
    tracestate: str | None
    session: str
    """32 lowercase hexadecimal characters."""
    seq: int
    """The write's number in its session, from 0."""
    time_text: str
    """When the write began, as it was published: RFC 3339, UTC (…Z), with up to nine digits of a second."""
    error: str | None
    """The `error.type` of a write that failed in the app."""
    relay_id: str
    """16 lowercase hexadecimal characters, new at each start of the relay."""
    relay_seq: int
    """The message's number in its topic since that start, from 0."""
    omitted: str | None = None
    """What the value lacks of the app's: None is nothing; `value`, all of it (see `has_value`); `parts`, what
    JSON cannot hold of it (a Map, a Set, a typed array, NaN), which is as `JSON.stringify` leaves it."""

    @property
    def value(self) -> Any:
        """The JSON value, parsed anew each time; None also when there is none (see `has_value`).

        Raises `ValueError` for an integer of more digits than Python reads, which JSON may have.
        """
        return None if self.value_json is None else json.loads(self.value_json)

    @property
    def time(self) -> datetime:
        """When the write began, in UTC, with microseconds (finer digits are cut off)."""
        # Python 3.10 reads neither the Z nor a fraction of other than 3 or 6 digits.
        fraction = self.time_text[20:26].rstrip("Z").ljust(6, "0")
        return datetime.fromisoformat(f"{self.time_text[:19]}.{fraction}+00:00")

    @property
    def has_value(self) -> bool:
        """Whether the browser could express the value as JSON (`null` is a value)."""
        return self.value_json is not None

    @property
    def trace_id(self) -> str:
        """32 lowercase hexadecimal characters."""
        return self.traceparent[3:35]

    @property
    def carrier(self) -> dict[str, str]:
        """The trace context as any OpenTelemetry propagator extracts it."""
        carrier = {"traceparent": self.traceparent}
        if self.tracestate is not None:
            carrier["tracestate"] = self.tracestate
        return carrier


@dataclass(frozen=True, slots=True)
class Loss:
    """Updates `first` to `last`, both included, that are lost."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is lost of one session."""

    topic: str
    session: str
    place: Literal["browser", "relay"]
    """Who gave it up: the browser, or the relay that refused it."""
    lost: tuple[Loss, ...]
    relay_id: str
    relay_seq: int


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A relay takes on a session of which its client says that all below `next_seq` is settled."""

    topic: str
    session: str
    next_seq: int
    relay_id: str
    relay_seq: int


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a session: it numbered its updates 0 to `next_seq` - 1."""

    topic: str
    session: str
    next_seq: int
    reason: str
    relay_id: str
    relay_seq: int


@dataclass(frozen=True, slots=True)
class RelayEnd:
    """The last message of a relay that drained."""

    topic: str
    topics: Mapping[str, int]
    """How many messages it published on each of its other topics: the number after the last one's."""
    relay_id: str
    relay_seq: int


Message: TypeAlias = Update | Ledger | SessionStart | SessionEnd | RelayEnd
