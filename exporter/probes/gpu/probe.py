"""GPUs: one probe a vendor, so that a driver that hangs costs the others nothing.

NVIDIA's is called `gpu`, as it was before there were others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.gpu import kernel
from exporter.probes.gpu.expected import Expected
from exporter.probes.gpu.nvidia import probe as nvidia
from exporter.probes.gpu.summary import summarize
from exporter.probes.gpu.sysfs import cards
from exporter.system.subprocesses import find

MOST = 1024  # cards that a box may be said to have


class Settings(Schedule, frozen=True):
    """When to collect, and how many cards the box is to have, of all vendors; None: that is not known."""

    expect: int | None = None

    def __post_init__(self) -> None:
        """Refuses what can't be a number of cards."""
        super().__post_init__()
        if self.expect is not None and not 1 <= self.expect <= MOST:
            raise ValueError(f"expect must be a number of cards from 1 to {MOST}, got {self.expect}")


def build(settings: Settings, host: Host) -> list[Probe]:
    """A probe for each vendor whose cards are here; where none is, NVIDIA's, whose failure has the hint."""
    runs: dict[str, tuple[str, Callable[[], Awaitable[Result]]]] = {
        "nvidia": ("gpu", partial(nvidia.run, host, nvidia.new_state(host))),
        **{
            name: (f"gpu:{name}", partial(kernel.run, host, name, kernel.State()))
            for name in ("amd", "intel")
        },
    }
    here = _vendors(host) or {"nvidia"}
    chosen = {vendor: run for vendor, run in runs.items() if vendor in here}
    if settings.expect is None:
        return [Probe(name, settings, settings, run, summarize) for name, run in chosen.values()]
    expected = Expected(settings.expect, chosen)
    probes = [
        Probe(name, settings, settings, partial(expected.run, vendor, run), summarize)
        for vendor, (name, run) in chosen.items()
    ]
    # It is one number, of all vendors.
    return [replace(probes[0], constants=expected.families()), *probes[1:]]


async def discover(host: Host) -> Settings | Note:
    """Cards are monitored where there is an nvidia-smi, or the kernel shows one of AMD's or Intel's."""
    if _vendors(host):
        return Settings()
    if (host.root / "dev/dxg").exists():
        return Note(
            "no nvidia-smi here, which on WSL lies in /usr/lib/wsl/lib where Windows has an NVIDIA driver",
            "install or update the driver in Windows, then: wsl --shutdown",
        )
    if any(card.vendor == "nvidia" for card in cards(host.sys)):
        return Note("an NVIDIA card, but no nvidia-smi", "install NVIDIA's driver with its nvidia-smi")
    return Note("no GPU here", "where there is one of NVIDIA: install its driver with nvidia-smi")


def _vendors(host: Host) -> set[str]:
    """Whose cards are here and can be monitored. NVIDIA's under another driver (nouveau) can't."""
    shown = cards(host.sys)
    vendors = {card.vendor for card in shown if card.vendor != "nvidia" or card.driver == "nvidia"}
    with contextlib.suppress(ProbeError):
        find("nvidia-smi", host.root)
        vendors.add("nvidia")
    return vendors


KIND = Kind("gpu", Settings, build, discover)
