"""An account for programs, and for people at 3 a.m."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter

    from atomwire.account.query import Account


def as_json(account: Account) -> dict[str, Any]:
    """Give the account as JSON's types."""
    lost = sum(account.lost.values())
    return {
        "balanced": account.balanced,
        "sessions": {
            "known": account.sessions,
            "ended": account.sessions_ended,
            "open": account.sessions - account.sessions_ended,
        },
        "updates": account.rows + account.pruned + lost + account.unexplained,
        "rows": account.rows,
        "pruned": account.pruned,
        "pruned_as": _sums(account.pruned_as),
        "lost": _sums(account.lost),
        "unexplained": account.unexplained,
        "holes": [
            {"session": session, "first": first, "last": last} for session, first, last in account.holes
        ],
        "relays": {
            "known": account.relays,
            "drained": account.relays_drained,
            "vanished": account.relays_vanished,
            "silent": account.relays_silent,
            "disputed": account.relays_disputed,
        },
        "bus": {"messages_lost": account.messages_lost, "unclaimed": account.messages_unclaimed},
    }


def as_text(account: Account) -> str:
    """Lay the account out in columns, ending with the verdict."""
    shown = as_json(account)
    sessions, relays = shown["sessions"], shown["relays"]
    lines: list[tuple[str, int, str]] = [
        ("updates", shown["updates"], ""),
        ("  rows", account.rows, ""),
        ("  pruned", account.pruned, ""),
        *_lines(shown["pruned_as"]),
        ("  lost", sum(account.lost.values()), ""),
        *_lines(shown["lost"]),
    ]
    lines.append(("  unexplained", account.unexplained, ""))
    lines += [
        (f"    {session}", last - first + 1, f"{first:,} to {last:,}")
        for session, first, last in account.holes
    ]
    lines += [
        ("sessions", sessions["known"], f"{sessions['ended']:,} ended, {sessions['open']:,} open"),
        (
            "relays",
            relays["known"],
            f"{relays['drained']:,} drained, {relays['vanished']:,} vanished, {relays['silent']:,} silent",
        ),
        *_disputed(relays["disputed"]),
        ("bus messages lost", account.messages_lost, _unclaimed(account.messages_unclaimed)),
    ]
    labels = max(len(label) for label, _, _ in lines)
    counts = max(len(f"{count:,}") for _, count, _ in lines)
    table = [f"{label:<{labels}}  {count:>{counts},}  {note}".rstrip() for label, count, note in lines]
    verdict = "balanced: every update is accounted for"
    if not account.balanced:
        verdict = f"NOT balanced: {account.unexplained:,} updates unexplained"
    return "\n".join([*table, "", verdict])


def _disputed(relays: int) -> list[tuple[str, int, str]]:
    return [("  in dispute", relays, "consumers read them in opposite orders")] if relays else []


def _sums(counts: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"place": place, "reason": reason, "updates": count}
        for (place, reason), count in sorted(counts.items())
        if count
    ]


def _lines(sums: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(f"    {one['place']:<9}{_plain(one['reason'])}".rstrip(), one["updates"], "") for one in sums]


def _unclaimed(messages: int) -> str:
    return f"{messages:,} of no known update: repeats, or ends of open sessions" if messages else ""


def _plain(reason: str) -> str:
    # It came over the bus, and may hold what a terminal obeys.
    return json.dumps(reason)[1:-1]
