"""The thin shell over `decode`: a SUB socket that can be stopped."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

import zmq

from atomwire._decode import MAX_PAYLOAD_BYTES, decode
from atomwire._message import LEDGER_TOPIC, BadMessage, Message, Update

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_BUS = "tcp://127.0.0.1:5555"
DEFAULT_TOPIC = "atom-updates"

RECEIVE_QUEUE = 10_000
"""Messages: about 2 s of a busy bus (5,000/s), some 5 MB at 500 bytes each."""

SIGNAL_CHECK = 250
"""Milliseconds that libzmq may wait at a time. After a signal that finds it busy with its own sockets (a
relay goes away at that moment, say) it waits on, and Python runs signal handlers only once it returns."""

_log = logging.getLogger("atomwire")
_M_co = TypeVar("_M_co", bound=Message, covariant=True)


@overload
def subscribe(
    endpoint: str = ..., topic: str = ..., *, ledger: Literal[False] = False
) -> Subscription[Update]: ...
@overload
def subscribe(endpoint: str = ..., topic: str = ..., *, ledger: Literal[True]) -> Subscription[Message]: ...
def subscribe(
    endpoint: str = DEFAULT_BUS, topic: str = DEFAULT_TOPIC, *, ledger: bool = False
) -> Subscription[Update] | Subscription[Message]:
    """Connect to a relay's bus and iterate over its messages.

    `topic` is a prefix, as always in ZeroMQ: `atom-updates` also gets `atom-updates.cart`. With `ledger` the
    messages of `atomwire.ledger` come too, in the order published. ZeroMQ connects in the
    background, and again whenever the relay comes back; a malformed endpoint raises `zmq.ZMQError`.

    What breaks the contract is skipped, logged, and counted in `Subscription.bad`.
    """
    return Subscription(endpoint, topic, ledger=ledger)


class Subscription(Generic[_M_co]):
    """An iterator over bus messages; made by `subscribe`.

    Iterate and close it in one thread. `stop` may be called from any thread and from a signal handler.
    """

    def __init__(self, endpoint: str, topic: str, *, ledger: bool) -> None:
        self.bad: Counter[str] = Counter()
        """How many messages were skipped, by reason."""
        self.stopped = False
        """Set by `stop`."""
        self._ledger = ledger
        # A ZeroMQ socket may not be touched from another thread; a byte through this pair ends the wait.
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        # libzmq drops the connection of a peer that exceeds it: twice what `decode` takes, so that a message
        # over the limit is refused alone and not with all that is queued behind it.
        self._socket.set(zmq.MAXMSGSIZE, 2 * MAX_PAYLOAD_BYTES)
        self._socket.set(zmq.LINGER, 0)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._wake_receiver, zmq.POLLIN)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise
        self._socket.subscribe(topic)
        if ledger:
            self._socket.subscribe(LEDGER_TOPIC)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _M_co:
        message = self.receive(math.inf)
        if message is None:
            raise StopIteration
        return message

    def receive(self, seconds: float) -> _M_co | None:
        """Return the next message; None when there is none within `seconds`, or when stopped."""
        deadline = time.monotonic() + seconds if seconds else 0
        while not self.stopped:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._poller.poll(_milliseconds(left))
                continue
            try:
                message = decode(frames)
            except BadMessage as error:
                self.bad[str(error)] += 1
                _log.warning("bad message skipped: %s", error)
                continue
            # A topic that is a prefix of the ledger's brings its messages unasked.
            if self._ledger or isinstance(message, Update):
                return cast("_M_co", message)
        return None

    def stop(self) -> None:
        """End the iteration once the message in hand is done with. Never blocks."""
        self.stopped = True
        with suppress(OSError):  # Full: a byte is already on its way. Closed: nobody waits.
            self._wake_sender.send(b"\0")

    def wait(self, seconds: float) -> bool:
        """Sleep (between two retries, say) up to `seconds`; True at once when stopped."""
        self._await(seconds, None)
        return self.stopped

    def wait_for(self, other: zmq.Socket[bytes], seconds: float) -> bool:
        """Wait up to `seconds` until another socket can be read; False at once when stopped."""
        return self._await(seconds, other)

    def _await(self, seconds: float, other: zmq.Socket[bytes] | None) -> bool:
        waiter = zmq.Poller()
        waiter.register(self._wake_receiver, zmq.POLLIN)
        if other is not None:
            waiter.register(other, zmq.POLLIN)
        deadline = time.monotonic() + seconds
        while not self.stopped and (left := deadline - time.monotonic()) > 0:
            if other in dict(waiter.poll(_milliseconds(left))):
                return True
        return False

    def close(self) -> None:
        """Stop, and release the sockets."""
        self.stop()
        self._context.destroy()
        self._wake_receiver.close()
        self._wake_sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _milliseconds(seconds: float) -> int:
    # Rounded up: a wait of none would be repeated until the time has passed.
    return math.ceil(min(seconds * 1000, SIGNAL_CHECK))
