"""What a card is called, from the lists of PCI devices that distributions bring."""

from __future__ import annotations

import re
from pathlib import Path

AMDGPU_IDS = ("usr/share/libdrm/amdgpu.ids",)
PCI_IDS = ("usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids")
LIMIT = 8 * 1024 * 1024  # bytes of a list; the longest has 1.6 million
BRACKETS = re.compile(r"\[([^][]{1,200})\]")


def amdgpu_name(root: Path, device: str, revision: str) -> str:
    """The name of an AMD card by its ids (``744C``, ``C8``) in libdrm's list; empty where it isn't there."""
    for line in _text(root, AMDGPU_IDS).splitlines():
        cells = line.split(",", 2)
        if len(cells) == 3 and [cells[0].strip().upper(), cells[1].strip().upper()] == [device, revision]:  # noqa: PLR2004
            return cells[2].strip()
    return ""


def pci_name(root: Path, vendor: str, device: str) -> str:
    """The name of a PCI device by its ids (``8086``, ``E20B``), preferably the one it is sold by."""
    lines = iter(_text(root, PCI_IDS).splitlines())
    for line in lines:
        if line[:6].upper() == f"{vendor}  ":
            break
    for line in lines:
        if line[:1] not in {"\t", "#"}:
            break
        if line[:7].upper() == f"\t{device}  ":
            name = line[7:].strip()
            sold = BRACKETS.search(name)
            return sold[1] if sold else name
    return ""


def _text(root: Path, places: tuple[str, ...]) -> str:
    for place in places:
        try:
            with (root / place).open(encoding="utf-8", errors="replace") as file:
                return file.read(LIMIT)
        except OSError:
            continue
    return ""
