"""What an engine did, and how it is: written by its thread, read by any."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from atomwire.storage.entries import Silent

if TYPE_CHECKING:
    from atomwire.ingest.ordered_stream import Group


@dataclass(slots=True)
class Tally:
    """`received = stored + duplicates + refused + unstored`."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    """What the database, or the handler, would never take."""
    unstored: int = 0
    """In hand when stopped while the database was away. The next start asks for them again."""


@dataclass(slots=True)
class Totals:
    """What an engine did since its start."""

    updates: Tally = field(default_factory=Tally)
    ledger: Tally = field(default_factory=Tally)
    browser_lost: int = 0
    """Updates that browsers reported lost, each once."""
    gaps: dict[str, int] = field(default_factory=dict[str, int])
    """Messages that never came, by reason (`Gap.reason`)."""
    bad: dict[str, int] = field(default_factory=dict[str, int])
    """Messages that broke the contract, by what was wrong."""


@dataclass(slots=True)
class Status:
    """How an engine is."""

    relay_id: str | None = None
    """The relay that it reads."""
    is_silent: bool = True
    """Whether that has not answered, or not for 5 s."""
    is_stuck: bool = False
    """Whether the database is away."""
    retries: int = 0
    """Attempts at the database that were not the first."""
    lag: int = 0
    """Messages of the relay, of any topic, that it has not stored."""
    stored_at: float = 0.0
    """When it last stored something: seconds since 1970, 0 for never."""
    newest: str | None = None
    """The `time` of the newest update that it has stored."""

    def look_at(self, group: Group) -> None:
        """Take notice of a group that is stored."""
        self.is_silent = any(isinstance(entry, Silent) and entry.is_silent for entry in group.entries)
        if group.position is not None:
            self.relay_id, self.lag = group.position.relay_id, group.lag
            self.stored_at = time.time()
        if group.updates:
            self.newest = group.updates[-1].time_text
