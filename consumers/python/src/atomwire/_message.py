"""Bus messages: bytes in, frozen objects out. No sockets and no clock of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

LEDGER_TOPIC = "atomwire.ledger"
"""The topic on which the relay publishes what browsers lost and which sessions ended."""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""The protocol's largest value is 256 KiB of JSON text."""
MAX_TOPIC_BYTES = 1024
"""Topics are part of a primary key, and a PostgreSQL index takes entries of up to 2,704 bytes."""
MAX_TEXT_BYTES = 4096
"""The limit of each single other text: key, error, reason, tracestate."""
MAX_INTEGER = 2**63 - 1
"""What a database's BIGINT holds; sequence numbers are 64 bits wide."""


class BadMessage(Exception):  # noqa: N818 - the name of the thing, not of its class of things
    """A bus message outside the contract.

    `field` and `problem` are this library's own words and never hold anything from the message, so both are
    fit for a log line and `str(error)` for a counter's label.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Update:
    """One atom write."""

    topic: str
    key: str
    value: Any
    """The parsed JSON value; None also when the browser could not express it (see `has_value`)."""
    value_json: str | None
    """The value's JSON text exactly as it was published, or None when there is none."""
    traceparent: str
    """W3C trace context of the relay's PRODUCER span."""
    tracestate: str | None
    session: str
    """32 lowercase hexadecimal characters."""
    seq: int
    """The write's number in its session, from 0."""
    time: datetime
    """When the write began, in UTC, with microseconds (finer digits are cut off)."""
    error: str | None
    """The `error.type` of a write that failed in the app."""
    relay_id: str
    """16 lowercase hexadecimal characters, new at each start of the relay."""
    relay_seq: int
    """The message's number in its topic since that start, from 0."""

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
    """Updates `first` to `last`, both included, that a browser reports lost."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one browser session reports lost."""

    topic: str
    session: str
    lost: tuple[Loss, ...]
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


Message: TypeAlias = Update | Ledger | SessionEnd


def _decode(frames: Sequence[bytes]) -> Message:
    """Turn one multipart message into an object, or raise `BadMessage`; no other exception leaves here."""
    if len(frames) != 2:  # noqa: PLR2004 - [topic, payload]
        raise BadMessage("frames", "not two, [topic, payload]")
    topic = _decode_topic(frames[0])
    members, value_json = _parse(frames[1])
    relay = members.get("relay")
    if not isinstance(relay, dict):
        raise BadMessage("relay", "not an object")
    relay_id = _text(relay, "id", _RELAY_ID, "relay.id")
    relay_seq = _integer(relay, "seq", "relay.seq")
    session = _text(members, "session", _SESSION)
    if topic != LEDGER_TOPIC:
        return Update(
            topic=topic,
            key=_text(members, "key"),
            value=members.get("value"),
            value_json=value_json,
            traceparent=_text(members, "traceparent", _TRACEPARENT),
            tracestate=_optional_text(members, "tracestate"),
            session=session,
            seq=_integer(members, "seq"),
            time=_time(members, "time"),
            error=_optional_text(members, "error"),
            relay_id=relay_id,
            relay_seq=relay_seq,
        )
    if "end" not in members:
        return Ledger(topic, session, _losses(members), relay_id, relay_seq)
    if members["end"] is not True:
        raise BadMessage("end", "not true")
    return SessionEnd(
        topic, session, _integer(members, "next_seq"), _text(members, "reason"), relay_id, relay_seq
    )


_SESSION = re.compile(r"[0-9a-f]{32}")
_RELAY_ID = re.compile(r"[0-9a-f]{16}")
# https://www.w3.org/TR/trace-context-2/: version ff and ids of all zeros are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)

_OPEN = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*(?:,[ \t\n\r]*|(\})[ \t\n\r]*)")


def _not_an_object() -> BadMessage:
    return BadMessage("payload", "not a JSON object")


def _refuse_constant(_name: str) -> NoReturn:
    # Python reads NaN and Infinity, which JSON does not have and no JSON column takes.
    raise _not_an_object()


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def _decode_topic(frame: bytes) -> str:
    try:
        topic = frame.decode()
    except UnicodeDecodeError:
        raise BadMessage("topic", "not UTF-8") from None
    return _check_text(topic, "topic", MAX_TOPIC_BYTES)


def _parse(payload: bytes) -> tuple[dict[str, Any], str | None]:
    """Return the payload's members, and the source text of `value`.

    The object is walked by hand because a parsed value no longer has its exact digits and key order.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadMessage("payload", f"longer than {MAX_PAYLOAD_BYTES} bytes")
    try:
        return _walk(payload.decode())
    except UnicodeDecodeError:
        raise BadMessage("payload", "not UTF-8") from None
    except RecursionError:
        raise BadMessage("payload", "nested too deeply") from None
    except json.JSONDecodeError:
        raise _not_an_object() from None
    except ValueError:
        raise BadMessage("payload", "holds an integer of more digits than Python reads") from None


def _walk(text: str) -> tuple[dict[str, Any], str | None]:
    members: dict[str, Any] = {}
    value_json = None
    at = _skip(_OPEN, text, 0).end()
    while True:
        name, at = _JSON.raw_decode(text, at)
        if not isinstance(name, str):
            raise _not_an_object()
        start = _skip(_COLON, text, at).end()
        members[name], end = _JSON.raw_decode(text, start)
        if name == "value":
            value_json = text[start:end]
        following = _skip(_NEXT, text, end)
        at = following.end()
        if following[1]:
            break
    if at != len(text):
        raise _not_an_object()
    return members, value_json


def _skip(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    if match is None:
        raise _not_an_object()
    return match


def _text(members: dict[str, Any], name: str, form: re.Pattern[str] | None = None, field: str = "") -> str:
    field = field or name
    text = members.get(name)
    if not isinstance(text, str):
        raise BadMessage(field, "not a string")
    if form is not None:
        if form.fullmatch(text) is None:
            raise BadMessage(field, "malformed")
        return text
    return _check_text(text, field)


def _optional_text(members: dict[str, Any], name: str) -> str | None:
    return _text(members, name) if name in members else None


def _check_text(text: str, field: str, limit: int = MAX_TEXT_BYTES) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadMessage(field, "holds a lone surrogate") from None
    if size > limit:
        raise BadMessage(field, f"longer than {limit} bytes")
    if "\0" in text:
        raise BadMessage(field, "holds U+0000, which no PostgreSQL text can")
    return text


def _integer(members: dict[str, Any], name: str, field: str = "") -> int:
    number = members.get(name)
    # type() and not isinstance(): True is an int in Python.
    if type(number) is not int or not 0 <= number <= MAX_INTEGER:
        raise BadMessage(field or name, f"not an integer from 0 to {MAX_INTEGER}")
    return number


def _time(members: dict[str, Any], name: str) -> datetime:
    text = members.get(name)
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadMessage(name, "not an RFC 3339 time in UTC (…Z)")
    # Python 3.10 reads neither the Z nor a fraction of other than 3 or 6 digits.
    microseconds = (match[2] or "").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(f"{match[1]}.{microseconds}+00:00")
    except ValueError:
        raise BadMessage(name, "no such date or time") from None


def _losses(members: dict[str, Any]) -> tuple[Loss, ...]:
    lost = members.get("lost")
    if not isinstance(lost, list) or not lost:
        raise BadMessage("lost", "not an array of losses, or empty")
    return tuple(_loss(entry) for entry in lost)


def _loss(entry: Any) -> Loss:
    if not isinstance(entry, dict):
        raise BadMessage("lost[]", "not an object")
    loss = Loss(
        first=_integer(entry, "first", "lost[].first"),
        last=_integer(entry, "last", "lost[].last"),
        reason=_text(entry, "reason", field="lost[].reason"),
    )
    if loss.first > loss.last:
        raise BadMessage("lost[].first", "greater than lost[].last")
    return loss
