"""A wait that any thread, and a signal handler, can end."""

from __future__ import annotations

import math
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

if TYPE_CHECKING:
    from typing_extensions import Self

SIGNAL_CHECK = 250
"""Milliseconds that libzmq may wait at a time. After a signal that finds it busy with its own sockets (a
relay goes away at that moment, say) it waits on, and Python runs signal handlers only once it returns."""


class Waker:
    """Waits in one thread; `stop` may be called from any thread and from a signal handler."""

    def __init__(self) -> None:
        self.stopped = False
        """Set by `stop`."""
        # A ZeroMQ socket may not be touched from another thread; a byte through this pair ends the wait.
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def stop(self) -> None:
        """End this wait and all that follow. Never blocks."""
        self.stopped = True
        with suppress(OSError):  # Full: a byte is already on its way. Closed: nobody waits.
            self._sender.send(b"\0")

    def wait(self, seconds: float, *sockets: zmq.Socket[bytes]) -> bool:
        """Wait up to `seconds`, or until one of the sockets can be read; True at once when stopped."""
        poller = zmq.Poller()
        for each in (self._receiver, *sockets):
            poller.register(each, zmq.POLLIN)
        deadline = time.monotonic() + seconds
        while not self.stopped and (left := deadline - time.monotonic()) > 0:
            # Rounded up: a wait of none would be repeated until the time has passed.
            if poller.poll(math.ceil(min(left * 1000, SIGNAL_CHECK))):
                break
        return self.stopped

    async def wait_async(self, *sockets: zmq.Socket[bytes]) -> None:
        """Wait until one of the sockets can be read; no longer than until stopped."""
        poller = zmq.asyncio.Poller()
        for each in (self._receiver, *sockets):
            poller.register(each, zmq.POLLIN)
        await poller.poll()

    def close(self) -> None:
        """Stop, and release the pair."""
        self.stop()
        self._receiver.close()
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
