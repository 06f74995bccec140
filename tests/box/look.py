"""What the probes find on a fake box."""

from __future__ import annotations

from exporter.config import load
from exporter.probe import Host, Result
from tests.box.box import FakeBox
from tests.series import series

Series = dict[str, float]


async def looks(box: FakeBox, kind: str) -> list[Result]:
    """One run of each of the probes of a kind; of the containers' before the cards'."""
    probes = load.load(
        box.directory / "config.yml",
        Host(proc=box.directory / "proc", cgroup=box.directory / "cgroup", sys=box.directory / "sys"),
    ).probes
    if kind == "gpu":
        await next(probe for probe in probes if probe.goes_by("containers")).run()
    return [await probe.run() for probe in probes if probe.goes_by(kind)]


async def found(box: FakeBox, kind: str) -> Series:
    """The series of that."""
    merged: Series = {}
    for result in await looks(box, kind):
        merged |= series(result.families)
    return merged
