"""Puts what the bus brings in order: fills its gaps from the replay window, and says what stays missing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from atomwire._message import LEDGER_TOPIC, Message, RelayEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atomwire._replay import Answer, Replay
    from atomwire._subscription import Subscription

GROUP = 256
"""Items handed over together at the most. More would share a transaction's cost no better, and make 64 MB of
the largest values."""

QUIET = 2.0
"""Seconds without a message after which the relay is asked whether there was one. No later number shows the
last message for a while, if it passes as a connection is made anew."""

KNOWN_TOPICS = 1_000
"""Topics that are asked for at a start. With a key in the topic there may be 65,536, and each takes a relay
20 ms; the others' gaps show with their next message."""

GapReason: TypeAlias = Literal["before", "gone", "malformed", "relay_ended", "unreachable"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages `first` to `last`, both included, of a relay's topic that never came."""

    relay_id: str
    topic: str
    first: int
    last: int
    reason: GapReason
    """`before`: published before anything of the topic came, by the relay that was there first.
    `gone`: past the replay window, or its relay is. `malformed`: it breaks the contract.
    `relay_ended`: the relay's end message says that it was there.
    `unreachable`: nobody answered on the replay socket."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay speaks on the bus, or (`vanished`) another one in its place, without its end message."""

    relay_id: str
    bus: str
    vanished: bool = False


Item: TypeAlias = Message | Gap | Relay


@dataclass(frozen=True, slots=True)
class Known:
    """What the books say of a bus."""

    relay_id: str | None = None
    """The relay that spoke last."""
    ended: bool = False
    """Whether that is known to be over."""
    is_first: bool = False
    """Whether no other one spoke before: of it alone nobody can say since when its messages were owed."""
    positions: tuple[tuple[str, int], ...] = ()
    """Topics, and the number that is next in each; the one used last comes last."""


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The subscription was stopped amid a wait: what is not complete is left for the next start."""


class Feed:
    """Reads a subscription, and the replay socket where there is one."""

    def __init__(
        self, subscription: Subscription[Message], replay: Replay | None, bus: str, topic: str
    ) -> None:
        self._live = subscription
        self._replay = replay
        self._bus = bus
        self._topic = topic
        self._relay: str | None = None
        self._relay_ended = False
        self._relays: set[str] = set()
        self._first_relay: str | None = None
        self._next: dict[tuple[str, str], int] = {}
        # Up to where the replay was ahead of the bus, which brings the same again.
        self._ahead: dict[tuple[str, str], int] = {}
        # Topics to ask for as soon as nothing live is waiting; and whether some were left out.
        self._owed: deque[str] = deque()
        self._unanswered = False
        # Whether the replay socket may say that another relay is there.
        self._may_switch = True

    def groups(self, known: Known) -> Iterator[list[Item]]:
        """Yield what comes, in order, until the subscription is stopped; together what is there together.

        Who stores a group may take it that nothing before it is missing but what gaps say.
        """
        self._relay, self._relay_ended = known.relay_id, known.ended
        if known.relay_id is not None:
            self._relays.add(known.relay_id)
            self._first_relay = known.relay_id if known.is_first else ""
            self._next = {(known.relay_id, topic): number for topic, number in known.positions}
        self._owe_all()
        group: list[Item] = []
        try:
            for item in self._items():
                if item is not None:
                    group.append(item)
                if group and (item is None or len(group) == GROUP):
                    yield group
                    group = []
        except _Stopped:
            pass
        if group:
            yield group

    def _items(self) -> Iterator[Item | None]:
        """Yield items, and None before anything that may take time."""
        while not self._live.stopped:
            message = self._live.receive(0)
            if message is None:
                yield None
                if self._owed:
                    yield from self._catch_up(self._owed.popleft())
                    continue
                message = self._live.receive(QUIET)
            self._may_switch = True
            if message is not None:
                yield from self._take(message)
            elif self._unanswered:
                self._owe_all()
            else:
                self._owed.extend((self._topic, LEDGER_TOPIC))

    def _take(self, message: Message) -> Iterator[Item | None]:
        """Yield a live message, and before it what it shows to be missing."""
        if message.relay_id != self._relay:
            yield from self._switch(message.relay_id)
        place = (message.relay_id, message.topic)
        if message.relay_seq < self._ahead.get(place, 0):
            return
        self._ahead.pop(place, None)
        if message.relay_seq < self._next.get(place, 0):
            self._next[place] = 0  # the relay forgot the topic, and counts anew
        yield from self._fill(message.topic, message.relay_seq, "unreachable")
        yield from self._deliver(message)

    def _deliver(self, message: Message) -> Iterator[Item | None]:
        if isinstance(message, RelayEnd):
            for topic, end in message.topics.items():
                if topic.startswith(self._topic) and topic != LEDGER_TOPIC:
                    yield from self._fill(topic, end, "relay_ended")
            self._relay_ended = True
        self._next[message.relay_id, message.topic] = message.relay_seq + 1
        yield message

    def _fill(self, topic: str, end: int, unanswered: GapReason) -> Iterator[Item | None]:
        """Yield the messages of the relay's topic below `end`, which it has published for certain."""
        while (at := self._expected(topic)) < end:
            yield None
            answer = self._ask(topic)
            if answer is None:
                yield self._gap(topic, end, unanswered)
            elif answer.relay_id != self._relay:
                yield self._gap(topic, end, "gone" if unanswered == "unreachable" else unanswered)
            else:
                yield from self._replayed(topic, answer, end)
                if self._expected(topic) == at:  # denies what it has published
                    yield self._gap(topic, end, unanswered)

    def _catch_up(self, topic: str) -> Iterator[Item | None]:
        """Yield what the relay has of a topic, up to an answer's worth, beyond what has come."""
        answer = self._ask(topic)
        if answer is None:
            self._unanswered = True
            self._owed.clear()
            return
        if answer.relay_id != self._relay:
            # No relay comes back: then the replay socket is not this bus's. And a new one only once in a
            # while: who names another in each answer must not fill the books.
            if answer.relay_id in self._relays or not self._may_switch:
                self._owed.clear()
                return
            self._may_switch = False
            yield from self._switch(answer.relay_id)
            return
        expected = self._expected(topic)
        if answer.next < expected:
            self._next[answer.relay_id, topic] = 0
            self._owed.appendleft(topic)
        # Only a message proves its number; without any, the next live one shows what is gone.
        elif any(message is not None for message in answer.messages):
            yield from self._replayed(topic, answer, answer.next)
            self._ahead[answer.relay_id, topic] = self._expected(topic)
            if self._expected(topic) < answer.next:
                self._owed.appendleft(topic)

    def _replayed(self, topic: str, answer: Answer, end: int) -> Iterator[Item | None]:
        if answer.first > self._expected(topic):
            yield self._gap(topic, min(answer.first, end), "gone")
        for number, message in enumerate(answer.messages, answer.first):
            if number >= end:
                break
            if message is None:
                yield self._gap(topic, number + 1, "malformed")
            else:
                yield from self._deliver(message)

    def _gap(self, topic: str, end: int, reason: GapReason) -> Gap:
        """Give up the messages of the relay's topic from the one expected to `end` - 1."""
        assert self._relay is not None  # noqa: S101 - a gap shows in a relay's message
        place = (self._relay, topic)
        if self._relay == self._first_relay and place not in self._next and reason in ("gone", "unreachable"):
            reason = "before"
        gap = Gap(*place, self._expected(topic), end - 1, reason)
        self._next[place] = end
        return gap

    def _switch(self, relay_id: str) -> Iterator[Item]:
        """Another relay is on the bus: all that it has published is owed."""
        if self._relay is not None and not self._relay_ended:
            yield Relay(self._relay, self._bus, vanished=True)
        if self._first_relay is None:
            self._first_relay = relay_id
        self._relay, self._relay_ended = relay_id, False
        if relay_id not in self._relays:
            self._relays.add(relay_id)
            self._owe_all()
            if self._replay is not None:
                self._replay.retry()
        yield Relay(relay_id, self._bus)

    def _owe_all(self) -> None:
        """Have the topics asked for that this relay, or the one before it, is known to use."""
        self._unanswered = False
        topics = dict.fromkeys((*(topic for _, topic in self._next), self._topic, LEDGER_TOPIC))
        self._owed = deque(list(topics)[-KNOWN_TOPICS:])

    def _expected(self, topic: str) -> int:
        return self._next.get((self._relay or "", topic), 0)

    def _ask(self, topic: str) -> Answer | None:
        answer = self._replay.ask(topic, self._expected(topic)) if self._replay is not None else None
        if self._live.stopped:
            raise _Stopped
        return answer
