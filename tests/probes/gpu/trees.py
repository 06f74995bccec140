r"""Trees of sysfs and procfs for the tests, kept as text: ``[directory]``, then ``name = content``.

``\n`` stands for a newline in a content, and ``name -> target`` is a link.
"""

from __future__ import annotations

from pathlib import Path

CAPTURES = Path(__file__).parents[2] / "captures"


def plant(text: str, root: Path) -> Path:
    """Makes the files of a tree under ``root``; returns that."""
    directory = root
    for line in text.strip().splitlines():
        name, _, content = line.partition(" = ")
        link, arrow, target = line.partition(" -> ")
        if line.startswith("["):
            directory = root / line.strip("[]")
        elif arrow:
            (directory / link).parent.mkdir(parents=True, exist_ok=True)
            (directory / link).symlink_to(target)
        else:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("\\n", "\n") + "\n")
    return root


def recorded(name: str, root: Path, card: str = "") -> Path:
    """Makes a recorded card's tree (``amd/rx-580``), under another number where ``card`` is given."""
    text = (CAPTURES / f"{name}.txt").read_text()
    if card:
        number = text.partition("class/drm/")[2].partition("/")[0].rstrip("]\n")
        text = text.replace(f"class/drm/{number}", f"class/drm/{card}")
    return plant(text, root)
