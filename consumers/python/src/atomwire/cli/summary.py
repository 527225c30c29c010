"""Tells the log, now and then, what was done."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from atomwire.log import fields

if TYPE_CHECKING:
    from typing_extensions import Self

    from atomwire.ingest.engine import Engine

INTERVAL = 60.0
"""Seconds."""

_log = logging.getLogger("atomwire")


class Summary:
    """While entered, logs an engine's totals, where they have changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ended = threading.Event()

    def _tell(self) -> None:
        told = None
        while not self._ended.wait(INTERVAL):
            totals = dataclasses.asdict(self._engine.totals)
            if totals != told:
                _log.info("totals", extra=fields(**totals, lag=self._engine.status.lag))
                told = totals

    def __enter__(self) -> Self:
        threading.Thread(target=self._tell, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
