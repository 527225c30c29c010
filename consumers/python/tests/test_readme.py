"""What the README shows works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import eventually, update

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bus, Database, Process, Relay

README = Path(__file__).parents[1] / "README.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_example_reads_the_bus(bus: Bus, run: Callable[..., Process]) -> None:
    example, _ = examples()
    assert len(example.splitlines()) <= 10
    assert "tcp://127.0.0.1:5555" in example
    process = run("-c", example.replace("tcp://127.0.0.1:5555", bus.endpoint))
    bus.await_subscriber()
    bus.publish(update(3, value=["a book"]))
    assert process.await_line("cart") == "cart ['a book'] 3\n"


def test_the_example_handles_each_once(relay: Relay, sqlite: Database, run: Callable[..., Process]) -> None:
    _, example = examples()
    assert len(example.splitlines()) <= 10
    sqlite.execute("CREATE TABLE orders (session TEXT, seq INTEGER, value TEXT, PRIMARY KEY (session, seq))")
    relay.publish_all(update(seq, key="order" if seq else "cart") for seq in range(3))
    example = example.replace("sqlite:///orders.sqlite", sqlite.url)
    process = run("-c", example.replace('consumer="orders"', f'consumer="orders", replay="{relay.endpoint}"'))
    eventually(lambda: sqlite.count("orders") == 2)
    process.signal()
    assert process.wait() == 0
