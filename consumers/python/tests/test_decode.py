"""`decode`: any bytes become an object or a `BadMessage`."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from conftest import RELAY, SESSION, TRACE_ID, ledger, relay_end, update
from hypothesis import example, given
from hypothesis import strategies as st

from atomwire import (
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
from atomwire.bus.codec import RelayError, decode_head
from atomwire.bus.codec import decode as decode_frames

TOPIC = b"atom-updates"
LOST = {"first": 1, "last": 2, "reason": "r"}
LEDGER = LEDGER_TOPIC.encode()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)
HEAD = {"relay": RELAY, "from": 5, "next": 12, "end": 13, "missed": 3, "messages": 4}
VALID = [
    update(),
    update(tracestate="a=b", error="TypeError", omitted="parts"),
    ledger(lost=[{"first": 3, "last": 9, "reason": "queue_full"}]),
    ledger(lost=[{"first": 3, "last": 9, "reason": "invalid_json"}], place="relay"),
    ledger(start=True, next_seq=13),
    ledger(end=True, next_seq=42, reason="closed"),
    relay_end(atom_updates=7),
]


def decode(payload: dict[str, Any] | str, topic: bytes = TOPIC) -> Message:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return decode_frames([topic, text.encode()])


def decode_update(payload: dict[str, Any] | str) -> Update:
    message = decode(payload)
    assert isinstance(message, Update)
    return message


def check_total(frames: list[bytes]) -> None:
    with suppress(BadMessage):
        assert isinstance(decode_frames(frames), Message)


def test_an_update() -> None:
    assert decode(update(7, tracestate="vendor=1", error="TypeError")) == Update(
        topic="atom-updates",
        key="cart",
        value_json='{"items": [7]}',
        traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-03",
        tracestate="vendor=1",
        session=SESSION,
        seq=7,
        time_text="2026-11-21T02:30:44.123456Z",
        error="TypeError",
        relay_id=RELAY,
        relay_seq=7,
    )


def test_an_update_gives_its_value_and_its_time() -> None:
    message = decode_update(update(7))
    assert message.value == {"items": [7]}
    assert message.time == datetime(2026, 11, 21, 2, 30, 44, 123456, timezone.utc)


def test_the_ledger() -> None:
    lost = [{"first": 3, "last": 9, "reason": "queue_full"}, {"first": 11, "last": 11, "reason": "too_large"}]
    losses = (Loss(3, 9, "queue_full"), Loss(11, 11, "too_large"))
    for members, place in (({}, "browser"), ({"place": "browser"}, "browser"), ({"place": "relay"}, "relay")):
        message = decode(ledger(4, lost=lost, **members), LEDGER)
        assert message == Ledger(LEDGER_TOPIC, SESSION, place, losses, RELAY, 4)  # type: ignore[arg-type]
    assert decode(ledger(5, end=True, next_seq=42, reason="closed"), LEDGER) == SessionEnd(
        LEDGER_TOPIC, SESSION, 42, "closed", RELAY, 5
    )
    assert decode(ledger(6, start=True, next_seq=2**53), LEDGER) == SessionStart(
        LEDGER_TOPIC, SESSION, 2**53, RELAY, 6
    )
    assert decode(relay_end(7, atom_updates=1234), LEDGER) == RelayEnd(
        LEDGER_TOPIC, {"atom-updates": 1234}, RELAY, 7
    )


def test_a_message_of_the_ledger_holds_as_much_as_a_relay_sends() -> None:
    loss = {"first": 2**53 - 2, "last": 2**53 - 1, "reason": "invalid_context"}
    message = decode(ledger(lost=[loss] * 4096), LEDGER)
    assert isinstance(message, Ledger)
    assert len(message.lost) == 4096
    end = decode(
        relay_end() | {"topics": {f"atom-updates.{number}": 2**53 for number in range(1000)}}, LEDGER
    )
    assert isinstance(end, RelayEnd)
    assert len(end.topics) == 1000


def test_a_null_is_a_value_and_an_absent_one_is_none() -> None:
    null, absent = decode_update(update(value=None)), decode_update(update(value=...))
    assert (null.value, null.value_json, null.has_value) == (None, "null", True)
    assert (absent.value, absent.value_json, absent.has_value) == (None, None, False)


def test_what_a_value_lacks_is_said() -> None:
    assert decode_update(update()).omitted is None
    parts, nothing = decode_update(update(omitted="parts")), decode_update(update(value=..., omitted="value"))
    assert (parts.omitted, parts.has_value) == ("parts", True)
    assert (nothing.omitted, nothing.has_value) == ("value", False)
    # A relay of a later version may have more to say; the update is one all the same.
    assert decode_update(update(omitted="digits")).omitted == "digits"


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,  "a":2, "b":3}',
        "1.10",
        "1e400",
        "123456789012345678901234567890",
        "9" * 5_000,
        '"\\ud800\\u0000"',
        "\t[1 ,\n2]",
        '"é"',
    ],
)
def test_the_text_of_a_value_stays_exact(text: str) -> None:
    payload = json.dumps(update(value="HERE")).replace('"HERE"', text)
    assert decode_update(payload).value_json == text.strip()


def test_an_integer_that_python_does_not_read_is_a_value() -> None:
    payload = json.dumps(update(value="HERE")).replace('"HERE"', "9" * 5_000)
    message = decode_update(payload)
    assert message.seq == 0
    with pytest.raises(ValueError, match="digits"):
        _ = message.value


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_every_value_comes_back(value: Any, indent: int | None, ascii_only: bool) -> None:
    payload = json.dumps(update(value=value), indent=indent, ensure_ascii=ascii_only)
    message = decode_update(payload)
    assert message.value == value
    assert message.value_json is not None
    assert json.loads(message.value_json) == value
    assert message.value_json in payload


@pytest.mark.parametrize(
    ("time", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05.5Z", 500_000),
        ("2026-01-02T03:04:05.123456789Z", 123_456),
    ],
)
def test_times_keep_their_microseconds(time: str, microsecond: int) -> None:
    assert decode_update(update(time=time)).time == datetime(2026, 1, 2, 3, 4, 5, microsecond, timezone.utc)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": ...}, "key: not a string"),
        ({"key": 1}, "key: not a string"),
        ({"key": "k" * 4097}, "key: longer than 4096 bytes"),
        ({"key": "é" * 2049}, "key: longer than 4096 bytes"),
        ({"key": "a\0b"}, "key: holds U+0000, which no PostgreSQL text can"),
        ({"key": "\ud800"}, "key: holds a lone surrogate"),
        ({"traceparent": ...}, "traceparent: not a string"),
        ({"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}, "traceparent: malformed"),
        ({"traceparent": f"00-{'1' * 32}-{'0' * 16}-01"}, "traceparent: malformed"),
        ({"traceparent": f"ff-{'1' * 32}-{'1' * 16}-01"}, "traceparent: malformed"),
        ({"tracestate": None}, "tracestate: not a string"),
        ({"session": SESSION.upper()}, "session: malformed"),
        ({"seq": -1}, "seq: not an integer from 0 to 9007199254740991"),
        ({"seq": 2**53}, "seq: not an integer from 0 to 9007199254740991"),
        ({"seq": True}, "seq: not an integer from 0 to 9007199254740991"),
        ({"seq": 1.0}, "seq: not an integer from 0 to 9007199254740991"),
        ({"time": "2026-11-21T02:30:44"}, "time: not an RFC 3339 time in UTC (…Z)"),
        ({"time": "2026-02-30T02:30:44Z"}, "time: no such date"),
        ({"time": "2026-11-21T24:00:00Z"}, "time: not an RFC 3339 time in UTC (…Z)"),
        ({"time": "2026-11-21T02:30:60Z"}, "time: not an RFC 3339 time in UTC (…Z)"),
        ({"time": "2026-11-21T02:30:44Z\n"}, "time: not an RFC 3339 time in UTC (…Z)"),
        ({"time": "٢026-11-21T02:30:44Z"}, "time: not an RFC 3339 time in UTC (…Z)"),
        ({"session": f"{SESSION}|{RELAY}"}, "session: malformed"),
        ({"error": 5}, "error: not a string"),
        ({"error": "a\0b"}, "error: holds U+0000, which no PostgreSQL text can"),
        ({"omitted": True}, "omitted: not a string"),
        ({"relay": "r"}, "relay: not an object"),
        ({"relay": {"id": "r", "seq": 0}}, "relay.id: malformed"),
        ({"relay": {"id": RELAY}}, "relay.seq: not an integer from 0 to 9007199254740991"),
    ],
)
def test_what_is_wrong_with_an_update_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessage) as raised:
        decode(update(**changes))
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "lost: not an array of losses, or empty"),
        ({"lost": []}, "lost: not an array of losses, or empty"),
        ({"lost": [7]}, "lost[]: not an object"),
        ({"lost": [{"first": 2, "last": 1, "reason": "r"}]}, "lost[].first: greater than lost[].last"),
        ({"lost": [{"first": 2, "last": 2}]}, "lost[].reason: not a string"),
        ({"end": False}, "end: not true"),
        ({"lost": [LOST] * 4097}, "lost: more than 4096 ranges"),
        ({"lost": [LOST | {"last": 2**53}]}, "lost[].last: not an integer from 0 to 9007199254740991"),
        ({"lost": [LOST], "place": "consumer"}, "place: neither browser nor relay"),
        ({"lost": [LOST], "place": ["relay"]}, "place: neither browser nor relay"),
        ({"start": 1, "next_seq": 3}, "start: not true"),
        ({"start": True, "next_seq": 2**53 + 1}, "next_seq: not an integer from 0 to 9007199254740992"),
        ({"end": True, "reason": "r"}, "next_seq: not an integer from 0 to 9007199254740992"),
    ],
)
def test_what_is_wrong_with_the_ledger_is_named(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessage) as raised:
        decode(ledger(**members), LEDGER)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        (None, "topics: not an object"),
        ({f"t{number}": 1 for number in range(1001)}, "topics: more than 1000"),
        ({"t" * 1025: 1}, "topics{}: longer than 1024 bytes"),
        ({"t": -1}, "topics{}: not an integer from 0 to 9007199254740992"),
        ({"t": "1"}, "topics{}: not an integer from 0 to 9007199254740992"),
    ],
)
def test_what_is_wrong_with_the_end_of_a_relay_is_named(topics: Any, reason: str) -> None:
    with pytest.raises(BadMessage) as raised:
        decode(relay_end() | {"topics": topics}, LEDGER)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "frames: not two, [topic, payload]"),
        ([TOPIC, b"{}", b""], "frames: not two, [topic, payload]"),
        ([b"\xff", b"{}"], "topic: not UTF-8"),
        ([b"t" * 1025, b"{}"], "topic: longer than 1024 bytes"),
        ([TOPIC, b"\xff"], "payload: not UTF-8"),
        ([TOPIC, b" " * (1024 * 1024 + 1)], "payload: longer than 1048576 bytes"),
        ([TOPIC, b""], "payload: not a JSON object"),
        ([TOPIC, b"[]"], "payload: not a JSON object"),
        ([TOPIC, b'{"key":"a"'], "payload: not a JSON object"),
        ([TOPIC, b'{"key":"a"}x'], "payload: not a JSON object"),
        ([TOPIC, b'{1:"a"}'], "payload: not a JSON object"),
        ([TOPIC, b'{"value":NaN}'], "payload: not a JSON object"),
        ([TOPIC, b'{"value":-Infinity}'], "payload: not a JSON object"),
        ([TOPIC, b'{"value":' + b"[" * 100_000], "payload: nested too deeply"),
        ([TOPIC, b'{"value":"\xff"}'], "payload: not UTF-8"),
        ([TOPIC, b'{"later":"\xff"}'], "payload: not UTF-8"),
        ([TOPIC, b'{"seq":' + b"9" * 5_000 + b',"relay":{}}'], "relay.id: not a string"),
    ],
)
def test_what_is_wrong_with_the_frames_is_named(frames: list[bytes], reason: str) -> None:
    with pytest.raises(BadMessage) as raised:
        decode_frames(frames)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("payload", "identity"),
    [
        (json.dumps(update(7, key=1)), (SESSION, 7)),
        (json.dumps(update(7, value="é"), ensure_ascii=False).encode("latin-1"), (SESSION, 7)),
        (json.dumps(update(7, value="x" * 1024 * 1024)), (SESSION, 7)),
        (json.dumps(update(7, relay=None)), (SESSION, 7)),
        (json.dumps(update(-1)), (None, None)),
        (json.dumps(update(7, session="no")), (None, None)),
        (json.dumps(update(7))[:-1], (None, None)),
        ("[]", (None, None)),
    ],
)
def test_what_is_broken_says_what_it_was_where_that_can_be_read(payload: Any, identity: Any) -> None:
    with pytest.raises(BadMessage) as raised:
        decode_frames([TOPIC, payload if isinstance(payload, bytes) else payload.encode()])
    assert (raised.value.session, raised.value.seq) == identity
    assert SESSION not in str(raised.value)


def test_a_broken_message_of_the_ledger_is_no_update() -> None:
    with pytest.raises(BadMessage) as raised:
        decode(ledger(seq=7, lost=[]), LEDGER)
    assert (raised.value.session, raised.value.seq) == (None, None)


def test_a_head_comes_apart() -> None:
    head = decode_head(json.dumps(HEAD | {"later": "ignored"}).encode())
    assert (head.relay_id, head.start, head.next, head.end, head.messages) == (RELAY, 5, 12, 13, 4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"relay": RELAY.upper()}, "relay: malformed"),
        ({"from": None}, "from: not an integer from 0 to 9007199254740992"),
        ({"next": 2**53 + 1}, "next: not an integer from 0 to 9007199254740992"),
        ({"missed": -1}, "missed: not an integer from 0 to 9007199254740992"),
        ({"messages": 5}, "head: more messages than positions from `from` to `next`"),
        ({"missed": 4}, "head: more messages than positions from `from` to `next`"),
        ({"next": 4, "missed": 0, "messages": 0}, "head: more messages than positions from `from` to `next`"),
        ({"end": 11}, "head: `end` before `next`"),
        ({"end": None}, "end: not an integer from 0 to 9007199254740992"),
        ({"next": 5_000, "end": 5_000, "messages": 4_097}, "messages: more than 4096"),
        ({"later": "x" * 4096}, "head: longer than 4096 bytes"),
        ({"error": 1}, "error: not a string"),
    ],
)
def test_what_is_wrong_with_a_head_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessage) as raised:
        decode_head(json.dumps(HEAD | changes).encode())
    assert str(raised.value) == reason


def test_an_error_is_no_head() -> None:
    with pytest.raises(RelayError, match="a newer connection"):
        decode_head(b'{"error":"a newer connection reads for this consumer"}')


def check_head(part: bytes) -> None:
    with suppress(BadMessage, RelayError):
        head = decode_head(part)
        assert 0 <= head.start <= head.start + head.messages <= head.next <= 2**53


@given(st.binary())
def test_any_head(part: bytes) -> None:
    check_head(part)


@given(st.data())
def test_any_change_to_a_valid_head(data: st.DataObject) -> None:
    part = bytearray(json.dumps(HEAD).encode())
    at = data.draw(st.integers(0, len(part) - 1))
    part[at] = data.draw(st.integers(0, 255))
    check_head(bytes(part))
    member = data.draw(st.sampled_from([*sorted(HEAD), "error"]))
    check_head(json.dumps(HEAD | {member: data.draw(JSON)}).encode())


MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "key": st.text(max_size=5) | st.sampled_from(["k" * 1024, "é" * 1025, "é" * 2049]),
    "value": JSON,
    "seq": st.integers() | st.floats(0, 9),
    "tracestate": st.text(max_size=5),
    "error": st.text(max_size=5),
    "omitted": st.text(max_size=5),
    "time": st.from_regex(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,10})?Z\n?", fullmatch=True),
}


def read(payload: str) -> Message | str:
    try:
        return decode(payload)
    except BadMessage as error:
        return str(error)


@given(st.fixed_dictionaries({}, optional=MEMBERS), st.booleans())
def test_a_closer_look_sees_the_same(changes: dict[str, Any], ascii_only: bool) -> None:
    payload = json.dumps(update(**changes), ensure_ascii=ascii_only)
    # U+0000, even where it is ignored, takes a closer look.
    assert read(payload) == read('{"later":"\\u0000",' + payload[1:])


@given(st.lists(st.binary(), max_size=3))
@example([TOPIC, b"\xef\xbb\xbf{}"])
def test_any_frames(frames: list[bytes]) -> None:
    check_total(frames)


@given(st.sampled_from([TOPIC, LEDGER]), st.sampled_from(VALID), st.data())
def test_any_change_to_a_valid_message(topic: bytes, valid: dict[str, Any], data: st.DataObject) -> None:
    payload = bytearray(json.dumps(valid).encode())
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    check_total([topic, bytes(payload)])
    check_total([topic, bytes(payload[:at])])


@given(st.sampled_from([TOPIC, LEDGER]), st.sampled_from(VALID), st.data())
def test_any_member_of_any_type(topic: bytes, valid: dict[str, Any], data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(sorted(valid)))
    check_total([topic, json.dumps(valid | {member: data.draw(JSON)}).encode()])
