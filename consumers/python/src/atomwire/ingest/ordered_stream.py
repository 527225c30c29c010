"""Puts a relay's answers into the books' terms: says what is missing, and where to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from atomwire.bus.message import LEDGER_TOPIC, Ledger, RelayEnd, SessionEnd, SessionStart, Update
from atomwire.bus.reader import NoMessage, Silence
from atomwire.storage.entries import Gap, Malformed, Position, Relay, Silent, Vanished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atomwire.bus.message import Message
    from atomwire.bus.reader import Answer, Reader
    from atomwire.storage.entries import GapReason, Known

Entry: TypeAlias = Ledger | SessionStart | SessionEnd | RelayEnd | Gap | Malformed | Relay | Vanished | Silent


@dataclass(slots=True)
class Group:
    """What is stored together."""

    updates: list[Update] = field(default_factory=list[Update])
    entries: list[Entry] = field(default_factory=list[Entry])
    """In order: of updates, nothing here depends on whether they are stored."""
    position: Position | None = None
    """Where this leads; None where the relay has said nothing."""
    lag: int = 0
    """Messages that the relay had behind this, of any topic."""


class OrderedStream:
    """Reads what comes after that which is known."""

    def __init__(self, reader: Reader, topic: str, known: Known) -> None:
        self._reader = reader
        self._topic = topic
        self._relay = known.relay_id
        self._is_first = known.is_first
        self._position = known.position
        # What the books say of it is not known.
        self._is_silent: bool | None = None
        self._next = {(known.relay_id, topic): number for topic, number in known.topics}

    def groups(self) -> Iterator[Group]:
        """Yield what each answer brings, until the reader is stopped.

        To go on is to say that the group is stored: the next request tells the relay so.
        """
        while (answer := self._reader.ask(self._relay, self._position)) is not None:
            group = Group()
            is_silent = isinstance(answer, Silence)
            if self._relay is not None and self._is_silent is not is_silent:
                group.entries.append(Silent(self._relay, is_silent))
            self._is_silent = is_silent
            if not isinstance(answer, Silence):
                self._take(answer, group)
            if group.entries or group.position:
                yield group

    def _take(self, answer: Answer, group: Group) -> None:
        is_new = answer.relay_id != self._relay
        if is_new:
            if self._relay is not None:
                group.entries.append(Vanished(self._relay))
            self._is_first = self._relay is None
            self._relay, self._position = answer.relay_id, 0
            group.entries.append(Relay(answer.relay_id))
        topics: dict[str, int] = {}
        for message in answer.messages:
            if isinstance(message, Update) and self._expected(message.topic) == message.relay_seq:
                group.updates.append(message)
                self._move(message.topic, message.relay_seq + 1, topics)
            else:
                self._look(message, group, topics)
        if is_new or topics or answer.next != self._position:
            group.position = Position(answer.relay_id, self._position, answer.next, topics)
            group.lag = answer.end - answer.next
            self._position = answer.next

    def _look(self, message: Message | NoMessage, group: Group, topics: dict[str, int]) -> None:
        """Take a message, and before it what it shows to be missing."""
        if isinstance(message, NoMessage):
            number = self._expected(message.topic)
            if message.session is None or message.seq is None:
                self._miss(message.topic, number + 1, "malformed", group, topics)
            else:
                group.entries.append(Malformed(message.topic, message.session, message.seq))
                self._move(message.topic, number + 1, topics)
            return
        self._miss(message.topic, message.relay_seq, "gone", group, topics)
        if isinstance(message, RelayEnd):
            for topic, end in message.topics.items():
                if topic.startswith(self._topic) and topic != LEDGER_TOPIC:
                    self._miss(topic, end, "relay_ended", group, topics)
        # Also backwards: a repeat, or a topic that the relay forgot and counts anew.
        self._move(message.topic, message.relay_seq + 1, topics)
        if isinstance(message, Update):
            group.updates.append(message)
        else:
            group.entries.append(message)

    def _miss(self, topic: str, end: int, reason: GapReason, group: Group, topics: dict[str, int]) -> None:
        """Give up the messages of the relay's topic from the one expected to `end` - 1."""
        assert self._relay is not None  # noqa: S101 - a gap shows in a relay's message
        first = self._expected(topic)
        if first < end:
            if reason == "gone" and self._is_first and (self._relay, topic) not in self._next:
                reason = "before"
            self._move(topic, end, topics)
            group.entries.append(Gap(self._relay, topic, first, end - 1, reason))

    def _move(self, topic: str, number: int, topics: dict[str, int]) -> None:
        topics[topic] = self._next[self._relay, topic] = number

    def _expected(self, topic: str) -> int:
        return self._next.get((self._relay, topic), 0)
