"""Puts a relay's answers into the books' terms: says what is missing, and where to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from atomwire._message import LEDGER_TOPIC, Message, RelayEnd
from atomwire._reader import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atomwire._reader import Answer, Reader

GapReason: TypeAlias = Literal["before", "gone", "malformed", "relay_ended"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages `first` to `last`, both included, of a relay's topic that never came."""

    relay_id: str
    topic: str
    first: int
    last: int
    reason: GapReason
    """`before`: published before anything of the topic came, by the relay that was there first.
    `gone`: overwritten before it was asked for. `malformed`: it breaks the contract.
    `relay_ended`: the relay's end message says that it was there."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay answers, or (`vanished`) another one in its place: all the same to one that has ended."""

    relay_id: str
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where everything of a relay is accounted for. The last item of each group."""

    relay_id: str
    next: int
    """The position to go on from."""
    topics: Mapping[str, int]
    """Of each topic of the group, the number (`relay.seq`) that comes next."""


Item: TypeAlias = Message | Gap | Relay | Position


@dataclass(frozen=True, slots=True)
class Known:
    """What the books say of a consumer."""

    relay_id: str | None = None
    """The relay that it read last."""
    position: int = 0
    """Where to go on with that."""
    is_first: bool = False
    """Whether it read no other one before: of it alone nobody can say since when its messages were owed."""
    topics: tuple[tuple[str, int], ...] = ()
    """Topics of the relay, and the number that is next in each."""


class Feed:
    """Reads what comes after that which is known."""

    def __init__(self, reader: Reader, topic: str, known: Known) -> None:
        self._reader = reader
        self._topic = topic
        self._relay = known.relay_id
        self._is_first = known.is_first
        self._position = known.position
        self._next = {(known.relay_id, topic): number for topic, number in known.topics}

    def groups(self) -> Iterator[list[Item]]:
        """Yield the items of each answer, in order, until the reader is stopped.

        To go on is to say that the group is stored: the next request tells the relay so.
        """
        while (answer := self._reader.ask(self._relay, self._position)) is not None:
            if group := list(self._items(answer)):
                yield group

    def _items(self, answer: Answer) -> Iterator[Item]:
        is_new = answer.relay_id != self._relay
        if is_new:
            yield from self._switch(answer.relay_id)
        topics = {}
        for message in answer.messages:
            for item in self._take(message):
                yield item
                topics[item.topic] = self._expected(item.topic)
        if is_new or topics or answer.next != self._position:
            self._position = answer.next
            yield Position(answer.relay_id, answer.next, topics)

    def _switch(self, relay_id: str) -> Iterator[Relay]:
        if self._relay is not None:
            yield Relay(self._relay, vanished=True)
        self._is_first = self._relay is None
        self._relay = relay_id
        yield Relay(relay_id)

    def _take(self, message: Message | Malformed) -> Iterator[Message | Gap]:
        """Yield a message, and before it what it shows to be missing."""
        if isinstance(message, Malformed):
            yield from self._missing(message.topic, self._expected(message.topic) + 1, "malformed")
            return
        yield from self._missing(message.topic, message.relay_seq, "gone")
        if isinstance(message, RelayEnd):
            for topic, end in message.topics.items():
                if topic.startswith(self._topic) and topic != LEDGER_TOPIC:
                    yield from self._missing(topic, end, "relay_ended")
        # Also backwards: a repeat, or a topic that the relay forgot and counts anew.
        self._next[self._relay, message.topic] = message.relay_seq + 1
        yield message

    def _missing(self, topic: str, end: int, reason: GapReason) -> Iterator[Gap]:
        """Give up the messages of the relay's topic from the one expected to `end` - 1."""
        assert self._relay is not None  # noqa: S101 - a gap shows in a relay's message
        first = self._expected(topic)
        if first < end:
            if reason == "gone" and self._is_first and (self._relay, topic) not in self._next:
                reason = "before"
            self._next[self._relay, topic] = end
            yield Gap(self._relay, topic, first, end - 1, reason)

    def _expected(self, topic: str) -> int:
        return self._next.get((self._relay, topic), 0)
