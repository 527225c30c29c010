"""What the books hold beside messages: gaps, relays, and positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

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
class Malformed:
    """An update that breaks the contract, but for its session and its number."""

    topic: str
    session: str
    seq: int


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay answers, and is read from its first message on."""

    relay_id: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """Another relay answers in this one's place: all the same to one that has ended."""

    relay_id: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A relay does not answer, or (not `is_silent`) does again."""

    relay_id: str
    is_silent: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where everything of a relay is accounted for."""

    relay_id: str
    start: int
    """The position before."""
    next: int
    """The position to go on from."""
    topics: Mapping[str, int]
    """Of each topic that came, the number (`relay.seq`) that is next."""


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
