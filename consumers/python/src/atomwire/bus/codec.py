"""Bus messages: bytes in, frozen objects out. No sockets and no clock of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeAlias, cast

import msgspec
from msgspec import Meta, Raw

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

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PAYLOAD_BYTES = 1024 * 1024
"""The protocol's largest value is 256 KiB of JSON text."""
MAX_TOPIC_BYTES = 1024
"""Topics are part of a primary key, and a PostgreSQL index takes entries of up to 2,704 bytes."""
MAX_TEXT_BYTES = 4096
"""The limit of each single other text: key, error, reason, tracestate."""
SEQ_END = 2**53
"""All numbers are below: the protocol's bound, exact in any language's JSON."""
MAX_RANGES = 4096
"""Losses in one message; a relay sends 1,024 at the most."""
MAX_TOPICS = 1000
"""Topics in a relay's end; the protocol's bound."""
MAX_HEAD_BYTES = 4096
"""A relay's head has some 100."""
MAX_ANSWER_MESSAGES = 4096
"""256 KiB of messages of 64 bytes, and the shortest has twice as many."""

_TOPICS_IN_MIND = 1024
_INTEGER_DIGITS = 20
"""More than any number of the contract has, and fewer than Python refuses to read."""


class RelayError(Exception):
    """What a relay says in place of an answer; its own words, so they are fit for a log's field alone."""


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before the messages of an answer."""

    relay_id: str
    start: int
    """The position at which the answer begins (`from`)."""
    next: int
    """The position to ask for next."""
    end: int
    """The position behind the relay's newest message."""
    messages: int
    """How many follow."""


def decode(frames: Sequence[bytes]) -> Message:
    """Turn one multipart message into an object, or raise `BadMessage`; no other exception leaves here."""
    if len(frames) != 2:  # noqa: PLR2004 - [topic, payload]
        raise BadMessage("frames", "not two, [topic, payload]")
    topic = decode_topic(frames[0])
    if topic == LEDGER_TOPIC:
        return _ledger(frames[1])
    update = _read_update(topic, frames[1])
    return _scrutinize_update(topic, frames[1]) if update is None else update


def decode_head(part: bytes) -> Head:
    """Read the head of an answer. Raises `BadMessage`, and `RelayError` when it is none but an error."""
    if len(part) > MAX_HEAD_BYTES:
        raise BadMessage("head", f"longer than {MAX_HEAD_BYTES} bytes")
    members, _ = _parse(part)
    if "error" in members:
        raise RelayError(_text(members, "error"))
    relay_id = _text(members, "relay", _RELAY_ID)
    start, following, newest, missed, messages = (
        _integer(members, name, end=SEQ_END + 1) for name in ("from", "next", "end", "missed", "messages")
    )
    if missed + messages > following - start:
        raise BadMessage("head", "more messages than positions from `from` to `next`")
    if newest < following:
        raise BadMessage("head", "`end` before `next`")
    if messages > MAX_ANSWER_MESSAGES:
        raise BadMessage("messages", f"more than {MAX_ANSWER_MESSAGES}")
    return Head(relay_id, start, following, newest, messages)


@lru_cache(_TOPICS_IN_MIND)
def decode_topic(frame: bytes) -> str:
    """Read a topic, or raise `BadMessage`."""
    try:
        topic = frame.decode()
    except UnicodeDecodeError:
        raise BadMessage("topic", "not UTF-8") from None
    return _check_text(topic, "topic", MAX_TOPIC_BYTES)


def _read_update(topic: str, payload: bytes) -> Update | None:
    """Read an update that is as most are; None where it takes a closer look to say whether it is one.

    msgspec refuses some of what JSON has (a lone surrogate), takes some that it has not (a text that is no
    UTF-8, in what it skips), and says what is wrong in words that quote the message.
    """
    # Only this escape makes U+0000 of JSON.
    if len(payload) > MAX_PAYLOAD_BYTES or b"\\u0000" in payload:
        return None
    try:
        if not payload.isascii():
            payload.decode()
        envelope = _read_envelope(payload)
        relay = envelope.relay
        # None of the forms has a `|`.
        if _have_their_forms(f"{envelope.session}|{relay.id}|{envelope.traceparent}|{envelope.time}") is None:
            return None
        date.fromisoformat(envelope.time[:10])
    except (ValueError, RecursionError):
        return None
    return Update(
        topic,
        envelope.key,
        str(envelope.value, "utf-8") or None,
        envelope.traceparent,
        envelope.tracestate or None,
        envelope.session,
        envelope.seq,
        envelope.time,
        envelope.error or None,
        relay.id,
        relay.seq,
        envelope.omitted or None,
    )


def _scrutinize_update(topic: str, payload: bytes) -> Update:
    """Read an update member by member, to say what is wrong where something is."""
    try:
        members, value_json = _parse(payload)
        relay_id, relay_seq = _relay(members)
        return Update(
            topic=topic,
            key=_text(members, "key"),
            value_json=value_json,
            traceparent=_text(members, "traceparent", _TRACEPARENT),
            tracestate=_optional_text(members, "tracestate"),
            session=_text(members, "session", _SESSION),
            seq=_integer(members, "seq"),
            time_text=_time(members, "time"),
            error=_optional_text(members, "error"),
            relay_id=relay_id,
            relay_seq=relay_seq,
            omitted=_optional_text(members, "omitted"),
        )
    except BadMessage as error:
        raise BadMessage(error.field, error.problem, *_identity(payload)) from None


def _identity(payload: bytes) -> tuple[str, int] | tuple[None, None]:
    """Return the session and the number of a broken update, where they can be read all the same."""
    try:
        members, _ = _walk(payload.decode(errors="replace"))
        return _text(members, "session", _SESSION), _integer(members, "seq")
    except (BadMessage, ValueError, RecursionError):
        return None, None


def _ledger(payload: bytes) -> Message:
    members, _ = _parse(payload)
    relay_id, relay_seq = _relay(members)
    for name in ("start", "end"):
        if members.get(name, True) is not True:
            raise BadMessage(name, "not true")
    if "end" in members and "session" not in members:
        return RelayEnd(LEDGER_TOPIC, _topics(members), relay_id, relay_seq)
    session = _text(members, "session", _SESSION)
    if "start" not in members and "end" not in members:
        return Ledger(LEDGER_TOPIC, session, _place(members), _losses(members), relay_id, relay_seq)
    next_seq = _integer(members, "next_seq", end=SEQ_END + 1)
    if "start" in members:
        return SessionStart(LEDGER_TOPIC, session, next_seq, relay_id, relay_seq)
    return SessionEnd(LEDGER_TOPIC, session, next_seq, _text(members, "reason"), relay_id, relay_seq)


_SESSION = re.compile(r"[0-9a-f]{32}")
_RELAY_ID = re.compile(r"[0-9a-f]{16}")
# https://www.w3.org/TR/trace-context-2/: version ff and ids of all zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z", re.ASCII)
_have_their_forms = re.compile(
    r"\|".join(form.pattern for form in (_SESSION, _RELAY_ID, _TRACEPARENT, _TIME)), re.ASCII
).fullmatch

_Number: TypeAlias = Annotated[int, Meta(ge=0, lt=SEQ_END)]
_Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT_BYTES // 4)]
"""Characters of up to four bytes. What is longer may be within the limit, on a closer look."""
_OptionalText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_BYTES // 4)]
"""An empty one takes a closer look, for here it stands for none."""


class _Relay(msgspec.Struct, gc=False):
    id: str
    seq: _Number


class _Envelope(msgspec.Struct, gc=False):
    key: _Text
    traceparent: str
    session: str
    seq: _Number
    time: str
    relay: _Relay
    value: Raw = Raw()
    tracestate: _OptionalText = ""
    error: _OptionalText = ""
    omitted: _OptionalText = ""


_read_envelope = msgspec.json.Decoder(_Envelope).decode

_OPEN = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*(?:,[ \t\n\r]*|(\})[ \t\n\r]*)")


def _not_an_object() -> BadMessage:
    return BadMessage("payload", "not a JSON object")


def _refuse_constant(_name: str) -> NoReturn:
    # Python reads NaN and Infinity, which JSON does not have and no JSON column takes.
    raise _not_an_object()


def _read_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else None


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_read_integer)


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


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadMessage(field, "not an object")
    return cast("dict[str, Any]", value)


def _text(members: dict[str, Any], name: str, form: re.Pattern[str] | None = None, field: str = "") -> str:
    """Take a member that must be a string, of this form or else within the limits of texts."""
    field = field or name
    value = members.get(name)
    if not isinstance(value, str):
        raise BadMessage(field, "not a string")
    if form is not None:
        if form.fullmatch(value) is None:
            raise BadMessage(field, "malformed")
        return value
    return _check_text(value, field)


def _optional_text(members: dict[str, Any], name: str) -> str | None:
    return _text(members, name) if name in members else None


def _check_text(value: str, field: str, limit: int = MAX_TEXT_BYTES) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadMessage(field, "holds a lone surrogate") from None
    if size > limit:
        raise BadMessage(field, f"longer than {limit} bytes")
    if "\0" in value:
        raise BadMessage(field, "holds U+0000, which no PostgreSQL text can")
    return value


def _integer(members: dict[str, Any], name: str, field: str = "", end: int = SEQ_END) -> int:
    """Take a member that must be an integer from 0 to `end` - 1."""
    number = members.get(name)
    # type() and not isinstance(): True is an int in Python.
    if type(number) is not int or not 0 <= number < end:
        raise BadMessage(field or name, f"not an integer from 0 to {end - 1}")
    return number


def _time(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise BadMessage(name, "not an RFC 3339 time in UTC (…Z)")
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        raise BadMessage(name, "no such date") from None
    return value


def _relay(members: dict[str, Any]) -> tuple[str, int]:
    relay = _object(members.get("relay"), "relay")
    return _text(relay, "id", _RELAY_ID, "relay.id"), _integer(relay, "seq", "relay.seq")


def _place(members: dict[str, Any]) -> Literal["browser", "relay"]:
    match members.get("place", "browser"):
        case "browser":
            return "browser"
        case "relay":
            return "relay"
        case _:
            raise BadMessage("place", "neither browser nor relay")


def _losses(members: dict[str, Any]) -> tuple[Loss, ...]:
    lost = members.get("lost")
    if not isinstance(lost, list) or not lost:
        raise BadMessage("lost", "not an array of losses, or empty")
    entries = cast("list[object]", lost)
    if len(entries) > MAX_RANGES:
        raise BadMessage("lost", f"more than {MAX_RANGES} ranges")
    return tuple(map(_loss, entries))


def _loss(entry: object) -> Loss:
    members = _object(entry, "lost[]")
    loss = Loss(
        first=_integer(members, "first", "lost[].first"),
        last=_integer(members, "last", "lost[].last"),
        reason=_text(members, "reason", field="lost[].reason"),
    )
    if loss.first > loss.last:
        raise BadMessage("lost[].first", "greater than lost[].last")
    return loss


def _topics(members: dict[str, Any]) -> dict[str, int]:
    topics = _object(members.get("topics"), "topics")
    if len(topics) > MAX_TOPICS:
        raise BadMessage("topics", f"more than {MAX_TOPICS}")
    return {
        _check_text(topic, "topics{}", MAX_TOPIC_BYTES): _integer(topics, topic, "topics{}", SEQ_END + 1)
        for topic in topics
    }
