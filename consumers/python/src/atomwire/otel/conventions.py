"""The names on spans: OpenTelemetry's semantic conventions, v1.45."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0"

KEY = "atomwire.key"
SESSION_ID = "atomwire.session.id"
SEQ = "atomwire.seq"
ERROR_TYPE = "error.type"


@dataclass(frozen=True, slots=True)
class Statement:
    """What stores an update in a database: a CLIENT span under the update's."""

    name: str
    attributes: Mapping[str, str | int]
    """`db.system.name`, `db.query.text` and their like, the same for every update."""


def process_name(topic: str) -> str:
    """Return the name of the CONSUMER span of an update."""
    return f"process {topic}"


def process_attributes(topic: str) -> dict[str, str]:
    """Return what the CONSUMER spans of a topic have in common."""
    return {
        "messaging.system.name": "zeromq",
        "messaging.destination.name": topic,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
    }
