"""What the README shows works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import update

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bus, Process

README = Path(__file__).parents[1] / "README.md"


def test_the_example_reads_the_bus(bus: Bus, run: Callable[..., Process]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 10
    assert "tcp://127.0.0.1:5555" in example
    process = run("-c", example.replace("tcp://127.0.0.1:5555", bus.endpoint))
    bus.await_subscriber()
    bus.publish(update(3, value=["a book"]))
    assert process.await_line("cart") == "cart ['a book'] 3\n"
