"""Writing into a box that is in use."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CAPTURES = PROJECT / "tests/captures"


def put(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a file whole or not at all, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, "utf-8", "surrogateescape")
    new.chmod(mode)
    os.replace(new, path)  # noqa: PTH105 - as short, and its name is plainer


def link(path: Path, target: Path) -> None:
    """Makes a symbolic link, in the place of whatever was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.symlink_to(target)
    os.replace(new, path)  # noqa: PTH105
