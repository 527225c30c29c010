"""The thin shell over `decode`: a SUB socket that can be stopped."""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

import zmq

from atomwire.bus.codec import MAX_PAYLOAD_BYTES, decode
from atomwire.bus.message import LEDGER_TOPIC, BadMessage, Message, Update
from atomwire.bus.waker import Waker

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_BUS = "tcp://127.0.0.1:5555"
DEFAULT_TOPIC = "atom-updates"

RECEIVE_QUEUE = 10_000
"""Messages: about 2 s of a busy bus (5,000/s), some 5 MB at 500 bytes each."""

HEARTBEAT = 5.0
"""Seconds between two questions whether the relay is there. Where nothing comes for twice as long after one,
the connection is made anew: a path that is dead without a word is noticed within 15 s."""

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

    Use it with `for` and `with`, or in an event loop with `async for` and `async with`; iterate and close it
    in one thread. `stop` may be called from any thread and from a signal handler.
    """

    def __init__(self, endpoint: str, topic: str, *, ledger: bool) -> None:
        self.bad: Counter[str] = Counter()
        """How many messages were skipped, by reason."""
        self._ledger = ledger
        self._waker = Waker()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        # libzmq drops the connection of a peer that exceeds it: twice what `decode` takes, so that a message
        # over the limit is refused alone and not with all that is queued behind it.
        self._socket.set(zmq.MAXMSGSIZE, 2 * MAX_PAYLOAD_BYTES)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.HEARTBEAT_IVL, int(HEARTBEAT * 1000))
        self._socket.set(zmq.HEARTBEAT_TIMEOUT, int(2 * HEARTBEAT * 1000))
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
        while not self.stopped:
            message = self._receive()
            if message is not None:
                return message
            self._waker.wait(math.inf, self._socket)
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _M_co:
        while not self.stopped:
            message = self._receive()
            if message is not None:
                return message
            await self._waker.wait_async(self._socket)
        raise StopAsyncIteration

    def _receive(self) -> _M_co | None:
        """Return the next message that is there and wanted, if any."""
        while not self.stopped:
            try:
                message = decode(self._socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return None
            except BadMessage as error:
                self.bad[str(error)] += 1
                _log.warning("bad message skipped: %s", error)
                continue
            # A topic that is a prefix of the ledger's brings its messages unasked.
            if self._ledger or isinstance(message, Update):
                return cast("_M_co", message)
        return None

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._waker.stopped

    def stop(self) -> None:
        """End the iteration once the message in hand is done with. Never blocks."""
        self._waker.stop()

    def wait(self, seconds: float) -> bool:
        """Sleep (between two retries, say) up to `seconds`; True at once when stopped."""
        return self._waker.wait(seconds)

    def close(self) -> None:
        """Stop, and release the sockets."""
        self._waker.close()
        self._context.destroy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
