"""Waits for a database that is away."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, TypeVar

from atomwire.log import fields
from atomwire.storage.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomwire.ingest.totals import Status

FIRST_RETRY = 0.1
LAST_RETRY = 5.0
"""Seconds between attempts: doubled each time, and spread over 50 to 100 % of that."""
TOLD_EVERY = 12
"""Attempts after the first between two lines of the log: about a minute."""

_log = logging.getLogger("atomwire")
_T = TypeVar("_T")


def retry(action: Callable[[], _T], wait: Callable[[float], bool], status: Status) -> _T:
    """Repeat `action` until it is not `Unavailable`, and say so in `status` meanwhile.

    `wait` sleeps; it answers True, at once, when stopped: then one last attempt decides.
    """
    delay = FIRST_RETRY
    attempts = 0
    stopped = False
    while True:
        try:
            result = action()
        except Unavailable as error:
            if attempts % TOLD_EVERY == 0:
                _log.warning(
                    "database unavailable, retrying", extra=fields(error=str(error), attempts=attempts + 1)
                )
            if stopped:
                raise
            attempts += 1
            status.retries += 1
            status.is_stuck = True
            stopped = wait(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
            delay = min(2 * delay, LAST_RETRY)
        else:
            if attempts:
                _log.info("database is back", extra=fields(attempts=attempts))
                status.is_stuck = False
            return result
