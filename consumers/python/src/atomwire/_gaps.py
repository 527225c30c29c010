"""What the bus lost, told from the relay's counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atomwire._message import Message


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages `first` to `last`, both included, of a relay's topic that never came (or came malformed)."""

    relay_id: str
    topic: str
    first: int
    last: int


class BusGaps:
    """Follows `relay.seq` of every relay and topic seen; as many counters as the relays themselves keep."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], int] = {}
        self._first_relay: str | None = None

    def observe(self, message: Message) -> Gap | None:
        """Return what is missing just before this message.

        What the first relay published before this process subscribed is not a loss. A relay that appears
        later was started later, so its topics are owed from 0.
        """
        if self._first_relay is None:
            self._first_relay = message.relay_id
        owed = message.relay_seq if message.relay_id == self._first_relay else 0
        expected = self._next.get((message.relay_id, message.topic), owed)
        self._next[message.relay_id, message.topic] = max(expected, message.relay_seq + 1)
        if message.relay_seq <= expected:
            return None
        return Gap(message.relay_id, message.topic, expected, message.relay_seq - 1)
