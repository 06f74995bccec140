"""A fake box for each test of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import control
from tests.box.box import FakeBox, make


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBox]:
    """A fake box, with its tools first on PATH and its control port open."""
    box = make(tmp_path / "box")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    with control.served(box):
        yield box
