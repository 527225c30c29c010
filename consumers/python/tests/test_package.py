"""What is published with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["LICENSE-MIT", "LICENSE-APACHE"])
def test_the_licences_are_the_repositorys(name: str) -> None:
    assert (PACKAGE / name).read_text() in (PACKAGE.parents[1] / "LICENSE").read_text()
