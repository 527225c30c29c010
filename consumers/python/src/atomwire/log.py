"""Logs as JSON lines on stderr: whatever a record holds, a line stays one line of plain ASCII."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any


def log_to_stderr() -> None:
    """Send this process's log records, the libraries' too, to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def fields(**values: Any) -> dict[str, Any]:
    """Make the `extra` of a logging call: structured values beside a constant message."""
    return {"fields": values}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
