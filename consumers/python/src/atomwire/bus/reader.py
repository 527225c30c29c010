"""Reads a relay with a cursor. What it answers comes from outside: nothing is believed unchecked."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from atomwire.bus.codec import MAX_PAYLOAD_BYTES, RelayError, decode, decode_head, decode_topic
from atomwire.bus.message import LEDGER_TOPIC, BadMessage
from atomwire.log import fields

if TYPE_CHECKING:
    from atomwire.bus.message import Message
    from atomwire.bus.waker import Waker

DEFAULT_REPLAY = "tcp://127.0.0.1:5556"
DEFAULT_CONSUMER = "rows"

MAX_PREFIX_BYTES = 256
"""Of a topic that is asked for; the protocol's bound."""
MAX_ANSWER_BYTES = 2 * MAX_PAYLOAD_BYTES
"""A relay answers with about 256 KiB, or with a single message that is larger."""
SILENCE = 5.0
"""Seconds without a word after which the connection is made anew. A relay answers within one."""
PAUSE = 1.0
"""Seconds before a relay that gave an invalid answer is asked again."""
LINGER = 200
"""Milliseconds that the last request has to get out."""

_log = logging.getLogger("atomwire")


@dataclass(frozen=True, slots=True)
class NoMessage:
    """What came in place of a message, and breaks the contract."""

    topic: str
    session: str | None
    """Of an update: its session and its number, where both can be read all the same."""
    seq: int | None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came for `SILENCE`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A relay's messages, in order, and the position to go on from."""

    relay_id: str
    next: int
    end: int
    """The position behind the relay's newest message."""
    messages: list[Message | NoMessage]


class Reader:
    """Asks a relay's replay socket, one request at a time, on a connection that is made anew if it fails."""

    def __init__(self, endpoint: str, consumer: str, topic: str, waker: Waker) -> None:
        """Connect, to read as `consumer`; a malformed endpoint raises `zmq.ZMQError`."""
        self.bad: Counter[str] = Counter()
        """How many messages were skipped, by reason."""
        self._endpoint = endpoint
        self._consumer = consumer
        self._topics = (topic, LEDGER_TOPIC)
        self._waker = waker
        self._said_so = False
        self._connection = _Connection(endpoint)

    def ask(self, relay_id: str | None, position: int) -> Answer | Silence | None:
        """Return what the relay has from a position on; None when stopped before it has answered.

        The request says that everything below is done with, and gets out even when stopped already. It is
        asked again until somebody gives a valid answer, or nobody says anything.
        """
        request = self._request(relay_id, position)
        while True:
            self._connection.socket.send(request)
            pause = 0.0
            answer: Answer | Silence | None = None
            try:
                answer = self._receive_answer(relay_id, position)
            except InterruptedError:
                return None
            except ConnectionResetError:
                pass
            except TimeoutError:
                self._warn(f"nothing for {SILENCE} s")
                answer = Silence()
            except (BadMessage, RelayError) as error:
                self._warn(str(error))
                pause = PAUSE
            else:
                self._said_so = False
                return answer
            # What is still on its way must not be taken for the answer to what is asked next.
            self._connection.close()
            self._waker.wait(pause)
            self._connection = _Connection(self._endpoint)
            if answer is not None:
                return answer

    def close(self) -> None:
        """Release the connection, once the last request is out."""
        self._connection.close(LINGER)

    def _request(self, relay_id: str | None, position: int) -> bytes:
        members: dict[str, object] = {"consumer": self._consumer, "topics": self._topics}
        if relay_id is not None:
            members |= {"relay": relay_id, "from": position}
        return json.dumps(members).encode()

    def _receive_answer(self, relay_id: str | None, position: int) -> Answer:
        (part,) = self._receive(1)
        head = decode_head(part)
        is_beyond_end = head.start < position and head.start == head.next
        if head.relay_id == relay_id and head.start != position and not is_beyond_end:
            raise BadMessage("head", "not from the position asked for")
        messages: list[list[bytes]] = []
        size = 0
        for _ in range(head.messages):
            messages.append(self._receive(2))
            size += sum(map(len, messages[-1]))
            if size > MAX_ANSWER_BYTES:
                raise BadMessage("answer", f"longer than {MAX_ANSWER_BYTES} bytes")
        decoded = [self._decode(frames, head.relay_id) for frames in messages]
        return Answer(head.relay_id, head.next, head.end, [it for it in decoded if it is not None])

    def _receive(self, parts: int) -> list[bytes]:
        """Return the next message's parts, of which there must be so many."""
        deadline = time.monotonic() + SILENCE
        while not self._waker.stopped:
            try:
                message = self._connection.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                if self._connection.was_remade():
                    raise ConnectionResetError from None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError from None
                self._waker.wait(left, self._connection.socket, self._connection.monitor)
                continue
            if len(message) != parts:
                raise BadMessage("answer", "not the parts that are due")
            return message
        raise InterruptedError

    def _decode(self, frames: list[bytes], relay_id: str) -> Message | NoMessage | None:
        """Return a message of an answer; None where not even its topic can be read."""
        try:
            message = decode(frames)
        except BadMessage as error:
            self.bad[str(error)] += 1
            _log.warning("bad message skipped: %s", error)
            return self._without_message(frames[0], error)
        if message.relay_id != relay_id or not message.topic.startswith(self._topics):
            raise BadMessage("answer", "holds what was not asked for")
        return message

    def _without_message(self, topic_frame: bytes, error: BadMessage) -> NoMessage | None:
        try:
            topic = decode_topic(topic_frame)
        except BadMessage:
            return None
        return NoMessage(topic, error.session, error.seq) if topic.startswith(self._topics) else None

    def _warn(self, problem: str) -> None:
        if not self._said_so:
            _log.warning("no answer", extra=fields(endpoint=self._endpoint, problem=problem))
            self._said_so = True


class _Connection:
    """A DEALER socket, and what libzmq tells of its connection."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        # libzmq gives up the connection to a peer that exceeds it: silence.
        self.socket.set(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
        self.monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._handshakes = 0
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def was_remade(self) -> bool:
        """Whether libzmq has connected again: what was asked before then, nobody will answer."""
        while self.monitor.poll(0):
            self.monitor.recv_multipart()
            self._handshakes += 1
        return self._handshakes > 1

    def close(self, linger: int = 0) -> None:
        """Release the sockets; what is queued has `linger` milliseconds to get out."""
        self._context.destroy(linger)
