"""What the probes collect from a fake box."""

from __future__ import annotations

from exporter.config import load
from exporter.probe import Host, Probe, ProbeError, Result
from tests.box.box import FakeBox
from tests.series import series

Series = dict[str, float]


def probes(box: FakeBox) -> list[Probe]:
    """The box's probes; that of the containers first, which the cards' needs."""
    host = Host(proc=box.directory / "proc", cgroup=box.directory / "cgroup", sys=box.directory / "sys")
    configured = load.load(box.directory / "config.yml", host).probes
    return sorted(configured, key=lambda probe: not probe.goes_by("containers"))


async def run_probes(box: FakeBox, kind: str) -> list[Result]:
    """One run of each of the probes of a kind."""
    needed = (kind, "containers") if kind == "gpu" else (kind,)
    runs = [(probe, await probe.run()) for probe in probes(box) if any(map(probe.goes_by, needed))]
    return [result for probe, result in runs if probe.goes_by(kind)]


async def collect(box: FakeBox, kind: str) -> Series:
    """The series of that."""
    merged: Series = {}
    for result in await run_probes(box, kind):
        merged |= series(result.families)
    return merged


async def scrape(box: FakeBox) -> Series:
    """The series of one run of all probes, with whether each succeeded."""
    merged: Series = {"up": 1}
    for probe in probes(box):
        success = f'grid_probe_success{{probe="{probe.name}"}}'
        try:
            merged |= series((await probe.run()).families) | {success: 1}
        except ProbeError as error:
            merged |= series(error.families) | {success: 0}
    return merged
