"""The PCIe link of a card: its generation and lanes, now and at most."""

from __future__ import annotations

import os
from collections.abc import Sequence

from exporter.metrics.families import Samples
from exporter.probes.gpu import families as f
from exporter.probes.gpu.sysfs import SLOT, read, value

GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
MOST_LANES = 64


def add_link(samples: Samples, labels: Sequence[str], device: str) -> None:
    """Adds the link of a PCI device. It can be no faster than the port that it is plugged into."""
    port = os.path.dirname(os.path.realpath(device))  # noqa: PTH120 - much faster
    for families, read_ in (
        ((f.PCIE_GENERATION, f.PCIE_GENERATION_MAX), _generation),
        ((f.PCIE_WIDTH, f.PCIE_WIDTH_MAX), _width),
    ):
        most = read_(device, "max")
        samples.add(families[0], read_(device, "current"), *labels)
        samples.add(families[1], most and min(most, read_(port, "max") or most), *labels)


def bridge(device: str) -> str:
    """The upstream end of a switch on the card, two levels up, whose link is the slot's; else empty."""
    upstream = os.path.dirname(os.path.dirname(os.path.realpath(device)))  # noqa: PTH120 - much faster
    return upstream if SLOT.fullmatch(upstream.rpartition("/")[2]) else ""


def _generation(device: str, which: str) -> float | None:
    """The generation by its speed; which: ``current`` or ``max``. Older kernels leave out the point."""
    speed = read(f"{device}/{which}_link_speed").partition(" ")[0]
    return GENERATIONS.get(speed if "." in speed else f"{speed}.0")


def _width(device: str, which: str) -> float | None:
    """The lanes; 0 is none."""
    return value(f"{device}/{which}_link_width", most=MOST_LANES) or None
