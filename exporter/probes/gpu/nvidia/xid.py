"""The driver's errors of cards (Xid), from the kernel's log where it may be read; else there are none."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probes.gpu import families as f
from exporter.probes.gpu.nvidia.cards import Card

RECORD = 8192  # bytes, at least; the kernel gives one record a read
MOST = 50_000  # records a run; the log of a usual kernel holds some thousands
KERNEL = 8  # priorities below are the kernel's own: whoever may write into the log can't choose those
XID = re.compile(
    r"NVRM: Xid \(PCI:([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.[0-7])?\): (\d{1,4}),"
)
BUS = re.compile(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.[0-7]")

Place = tuple[int, int, int]  # domain, bus, device


class KernelLog(Struct):
    """Counts the errors from the log's beginning on, each run from where the one before ended.

    labels: those of every card that was ever listed, since one that falls off the bus no longer is.
    """

    path: Path
    fd: int = -1
    counts: Counter[tuple[Place, str]] = field(default_factory=Counter)
    labels: dict[Place, tuple[str, str]] = field(default_factory=dict)

    def read(self) -> None:
        """Takes what is new; nothing where the log may not be read."""
        if self.fd < 0:
            try:
                self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return
        for record in self._records():
            self.counts.update(parse(record))

    def _records(self) -> Iterator[str]:
        for _ in range(MOST):
            try:
                data = os.read(self.fd, RECORD)
            except BrokenPipeError:  # what came next was overwritten
                continue
            except OSError:  # no more, for now
                return
            if not data:
                return
            yield data.decode("utf-8", "replace")

    def add(self, samples: Samples, cards: Iterable[Card]) -> None:
        """Adds each card's errors; those of a card that was never listed go under its place on the bus."""
        for card in cards:
            if place := BUS.fullmatch(card.cells.get("pci.bus_id", "")):
                self.labels[_place(*place.groups())] = (card.index, card.uuid)
        for (place_, number), count in self.counts.items():
            labels = self.labels.get(place_, ("", "{:04x}:{:02x}:{:02x}.0".format(*place_)))
            samples.add(f.XID, count, *labels, number)

    def __del__(self) -> None:
        """Closes the log."""
        if self.fd >= 0:
            os.close(self.fd)


def parse(text: str) -> list[tuple[Place, str]]:
    """The errors in records of the log: each one's card and number."""
    found = []
    for line in text.split("\n"):
        head, semicolon, message = line.partition(";")
        priority = head.partition(",")[0]
        own = semicolon and priority.isdecimal() and len(priority) < 4 and int(priority) < KERNEL  # noqa: PLR2004
        if own and (xid := XID.match(message)):
            found.append((_place(*xid.groups()[:3]), xid[4]))
    return found


def _place(domain: str, bus: str, device: str) -> Place:
    return int(domain, 16), int(bus, 16), int(device, 16)
