"""Asks a relay for what the bus lost. What it answers comes from outside: nothing is believed unchecked."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from atomwire._decode import MAX_PAYLOAD_BYTES, decode, decode_head
from atomwire._log import fields
from atomwire._message import BadMessage

if TYPE_CHECKING:
    from atomwire._message import Message
    from atomwire._subscription import Subscription

ANSWER_TIMEOUT = 5.0
"""Seconds for an answer, while live messages wait. A relay looks after requests each 20 ms; on a machine that
is busy with everything else it may take longer, and what is given up is lost."""
SILENCE = 60.0
"""Seconds without asking again after a request that went unanswered: a replay socket that is not there costs
8 % of a consumer's time at the most."""

MAX_ANSWER_BYTES = 4 * MAX_PAYLOAD_BYTES
"""A relay answers with about 1 MiB, or with a single payload that is larger."""
MAX_ANSWER_PARTS = 16_384
"""1 MiB of payloads of 64 bytes, and the shortest has twice as many."""

_log = logging.getLogger("atomwire")


@dataclass(frozen=True, slots=True)
class Answer:
    """Consecutive messages of a topic, from number `first` on."""

    relay_id: str
    first: int
    """The number asked for, or the oldest that the relay still has."""
    next: int
    """The number of the topic's next message: while `messages` end below, there are more."""
    messages: list[Message | None]
    """None stands for one that breaks the contract."""


class Replay:
    """A connection to a relay's replay socket."""

    def __init__(self, endpoint: str, subscription: Subscription[Message]) -> None:
        """Connect; a malformed endpoint raises `zmq.ZMQError`. What stops the subscription ends a wait."""
        self._endpoint = endpoint
        self._subscription = subscription
        self._silent_until = 0.0
        self._said_so = False
        self._context = zmq.Context()
        try:
            self._socket = self._connect()
        except zmq.ZMQError:
            self.close()
            raise

    def ask(self, topic: str, from_seq: int) -> Answer | None:
        """Return what the relay has of a topic from a number on; None when nobody gives a valid answer.

        After that it is None at once for `SILENCE` seconds, unless `retry` is called.
        """
        if time.monotonic() < self._silent_until:
            return None
        problem = f"none within {ANSWER_TIMEOUT} s"
        try:
            self._socket.send_multipart([topic.encode(), str(from_seq).encode()], zmq.NOBLOCK)
            if self._subscription.wait_for(self._socket, ANSWER_TIMEOUT):
                answer = _check(_receive(self._socket), topic, from_seq)
                self._said_so = False
                return answer
        except zmq.Again:
            pass
        except BadMessage as error:
            problem = str(error)
        if self._subscription.stopped:
            return None
        if not self._said_so:
            _log.warning("no replay", extra=fields(endpoint=self._endpoint, topic=topic, answer=problem))
            self._said_so = True
        self._silent_until = time.monotonic() + SILENCE
        # A late answer must not be taken for that to the next request.
        self._socket.close()
        self._socket = self._connect()
        return None

    def retry(self) -> None:
        """Ask again at once: another relay is there now."""
        self._silent_until = 0.0

    def close(self) -> None:
        """Release the socket."""
        self._context.destroy()

    def _connect(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
        socket.connect(self._endpoint)
        return socket


def _receive(socket: zmq.Socket[bytes]) -> list[bytes]:
    parts = [socket.recv(zmq.NOBLOCK)]
    size = len(parts[0])
    while socket.get(zmq.RCVMORE):
        parts.append(socket.recv(zmq.NOBLOCK))
        size += len(parts[-1])
        if size > MAX_ANSWER_BYTES or len(parts) > MAX_ANSWER_PARTS:
            raise BadMessage("answer", f"more than {MAX_ANSWER_PARTS} parts or {MAX_ANSWER_BYTES} bytes")
    return parts


def _check(parts: list[bytes], topic: str, from_seq: int) -> Answer:
    if parts[0] != topic.encode() or len(parts) == 1:
        raise BadMessage("answer", "not [topic, head, payload…] of the topic asked for")
    relay_id, first, oldest, following = decode_head(parts[1])
    payloads = parts[2:]
    if first != min(max(from_seq, oldest), following) or oldest > following:
        raise BadMessage("head", "not the numbers asked for")
    if len(payloads) > following - first:
        raise BadMessage("answer", "more payloads than head.next allows")
    messages: list[Message | None] = []
    for number, payload in enumerate(payloads, first):
        try:
            message = decode([parts[0], payload])
        except BadMessage:
            messages.append(None)
            continue
        if (message.relay_id, message.relay_seq) != (relay_id, number):
            raise BadMessage("payload", "of another relay or number than head says")
        messages.append(message)
    return Answer(relay_id, first, following, messages)
