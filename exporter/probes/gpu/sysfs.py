"""The kernel's small files of a card: a page of each is read at most, and what can't be read is unknown."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field

from exporter.metrics.families import number
from exporter.system import files

PAGE = 4096  # bytes; the kernel gives no more at once for one attribute
MAX_ENTRIES = 4096  # of a directory
SLOT = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)
NODE = re.compile(r"(?:card|renderD)\d{1,4}", re.ASCII)
CARD = re.compile(r"card\d{1,4}", re.ASCII)
VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
# Graphics of servers' management (ES1000), by ids of AMD.
DISPLAY_ONLY = {"1002:515E", "1002:5969"}
DRIVERS = {"amdgpu", "radeon", "xe", "i915"}
ASLEEP = {"suspended": 1.0, "suspending": 1.0, "active": 0.0, "resuming": 0.0, "unsupported": 0.0}
POWERED_OFF = {"D3hot", "D3cold"}


def read(path: Path | str, limit: int = PAGE) -> str:
    """A file's text without blanks around it; empty where it can't be read or is no text."""
    return files.read_start(path, limit, "replace").strip("\0 \t\r\n")


def value(path: Path | str, scale: float = 1.0, *, most: float = 1e19) -> float | None:
    """The number in a file, divided by ``scale``; None where it is none, negative or above ``most``."""
    amount = number(read(path))
    return None if amount is None or amount > most else amount / scale


def entries(path: Path | str) -> list[str]:
    """The names in a directory, sorted; none where it can't be read."""
    try:
        return sorted(os.listdir(path))[:MAX_ENTRIES]  # noqa: PTH208 - faster
    except (OSError, ValueError):
        return []


class Card(Struct, frozen=True):
    """A card that the kernel shows.

    path: its directory in /sys/class/drm. vendor: ``amd``. driver: ``amdgpu``; empty where unknown.
    slot: its place on the PCI bus, ``0000:03:00.0``. pci_id: ``1002:744C``.
    """

    path: Path
    vendor: str
    driver: str
    slot: str
    pci_id: str

    @property
    def device(self) -> str:
        """The directory of the PCI device."""
        return f"{self.path}/device"

    def asleep(self) -> float | None:
        """1 where it is suspended, 0 where not, None where that is unknown. Reading this wakes no card."""
        status = ASLEEP.get(read(f"{self.device}/power/runtime_status"))
        if status is None and read(f"{self.device}/power_state") in POWERED_OFF:
            return 1.0
        return status

    def hwmon(self) -> str:
        """The directory of its driver's sensors; empty where it has none."""
        paths = (f"{self.device}/hwmon/{name}" for name in entries(f"{self.device}/hwmon"))
        return next((path for path in paths if read(f"{path}/name") in DRIVERS), "")


def cards(sys: Path) -> list[Card]:
    """The cards, in the order of their PCI slots; those for a display alone (of a BMC, virtio) are none."""
    drm = sys / "class/drm"
    found = (_card(drm / name) for name in entries(drm) if CARD.fullmatch(name))
    return sorted((card for card in found if card), key=lambda card: (card.slot, card.path))


def _card(path: Path) -> Card | None:
    vendor = VENDORS.get(read(path / "device/vendor"))
    if vendor is None:
        return None
    lines = (line.partition("=") for line in read(path / "device/uevent").splitlines())
    uevent = {name: value for name, _, value in lines}
    if uevent.get("PCI_ID", "").upper() in DISPLAY_ONLY:
        return None
    slot = uevent.get("PCI_SLOT_NAME", "").lower()
    if not SLOT.fullmatch(slot):
        real = os.path.realpath(path / "device").rpartition("/")[2]
        slot = real if SLOT.fullmatch(real) else ""
    return Card(path, vendor, uevent.get("DRIVER", "")[:40], slot, uevent.get("PCI_ID", "")[:20])


def nodes(sys: Path, slots: Collection[str]) -> dict[str, str]:
    """The names of these cards' devices under /dev/dri, each with its slot: ``renderD128``."""
    named = {}
    for name in entries(sys / "class/drm"):
        if NODE.fullmatch(name):
            lines = read(f"{sys}/class/drm/{name}/device/uevent").splitlines()
            slot = next((line[14:].lower() for line in lines if line.startswith("PCI_SLOT_NAME=")), "")
            if slot in slots:
                named[name] = slot
    return named


class Sensors(Struct):
    """Where sensors lie by their labels; remembered, since to find out takes as long as to read them."""

    known: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def of(self, hwmon: str, kind: str) -> dict[str, str]:
        """The sensors of a kind (``temp``): by label, empty without one, what their paths begin with.

        Of several with the same label, or without, the first counts.
        """
        if (hwmon, kind) not in self.known:
            named = re.compile(rf"{kind}(\d{{1,3}})_input", re.ASCII)
            numbers = (int(name[1]) for name in map(named.fullmatch, entries(hwmon or "-")) if name)
            stems = [f"{hwmon}/{kind}{number}_" for number in sorted(numbers, reverse=True)]
            self.known[hwmon, kind] = {read(f"{stem}label"): stem for stem in stems}
        return self.known[hwmon, kind]


def first(stems: Mapping[str, str], labels: Iterable[str], scale: float = 1.0) -> float | None:
    """The value of the sensor with the first of these labels that there is; None where there is none."""
    stem = next((stems[label] for label in labels if label in stems), None)
    return None if stem is None else value(f"{stem}input", scale)
