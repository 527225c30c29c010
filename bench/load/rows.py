"""Sees rows appear: `rows.py DATABASE COUNT FROM_US POLL_MS` prints JSON once COUNT rows are committed.

Only rows whose update was written at FROM_US (microseconds since the epoch) or later count.
"""

import json
import sqlite3
import sys
import time

GIVEN_UP = 5.0
"""Seconds without a new row."""

database, count, from_us, poll_ms = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
last = connection.execute("SELECT coalesce(max(rowid), 0) FROM atomwire_updates").fetchone()[0]
latencies: list[int] = []
changed = time.monotonic()
last_us = from_us
print("ready", flush=True)
while len(latencies) < count and time.monotonic() - changed < GIVEN_UP:
    rows = connection.execute("SELECT rowid, value FROM atomwire_updates WHERE rowid > ?", (last,)).fetchall()
    now_us = time.time_ns() // 1000
    for rowid, value in rows:
        last = max(last, rowid)
        written_us = json.loads(value)["t"]
        if written_us >= from_us:
            latencies.append(now_us - written_us)
            last_us = now_us
            changed = time.monotonic()
    time.sleep(poll_ms / 1000)
latencies.sort()
print(
    json.dumps(
        {
            "rows": len(latencies),
            "seconds": (last_us - from_us) / 1e6,
            "p50_ms": latencies[len(latencies) // 2] / 1e3 if latencies else None,
            "p99_ms": latencies[int(len(latencies) * 0.99)] / 1e3 if latencies else None,
        }
    )
)
