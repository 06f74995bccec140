"""How often each tool runs during a minute of 100 clients: by its ttl alone, however it fares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exporter.config.load import load
from exporter.probe import Host
from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort, storm
from tests.bench.report import Table, Target
from tests.box import box as fake
from tests.box.box import FakeBox

CLIENTS = 100
SECONDS = 60
FAULTS = {"healthy": "", "failing": "error 1 it is broken", "hung": "hang"}
PROBES = {
    "nvidia-smi": "gpu",
    "docker": "containers",
    "systemctl": "services",
    "ionice": "disk",
    "curl": "tor",
    "ups": "command",
}


def tables(directory: Path, _: Calm, __: Effort, seconds: int = SECONDS) -> list[Table]:
    """The runs of every tool on a box where all are well, one where all fail and one where all hang."""
    found = Table(
        "Runs of the tools under a storm",
        f"How often a tool is called in the same way in {seconds} s of {CLIENTS} clients, who ask without a"
        f" pause; every ttl as it is by default; the three boxes at once.",
        ("ttl, s", "answers a second", "runs"),
    )
    boxes = {state: _box(directory / state, fault) for state, fault in FAULTS.items()}
    with ThreadPoolExecutor() as pool:
        runs = {state: pool.submit(_runs, box, seconds) for state, box in boxes.items()}
    for state, box in boxes.items():
        rate, counts = runs[state].result()
        for tool, ttl in _ttls(box).items():
            found.add(f"{state}: {tool}", ttl, rate, counts[tool], target=Target("≤", seconds / ttl + 1))
    return [found]


def _box(directory: Path, fault: str) -> FakeBox:
    box = fake.make(directory, **story.USUAL)
    for tool in PROBES if fault else ():
        box.fault(tool, fault)
    return box


def _ttls(box: FakeBox) -> Mapping[str, float]:
    """Each tool's ttl."""
    probes = load(box.directory / "config.yml", Host()).probes
    return {
        tool: next(probe.schedule.ttl for probe in probes if probe.goes_by(kind))
        for tool, kind in PROBES.items()
    }


def _runs(box: FakeBox, seconds: int) -> tuple[float, Mapping[str, int]]:
    """Answers a second, and how often each tool was called in the same way: two directories are two scans."""
    with servers.exporter(box) as ours:
        before = {tool: Counter(box.runs(tool)) for tool in PROBES}
        load = storm(ours.url, CLIENTS, seconds, "gzip")
        after = {tool: Counter(box.runs(tool)) - before[tool] for tool in PROBES}
    if load.failures:
        raise AssertionError(f"{load.failures} requests were not answered well")
    return load.rate, {tool: max(calls.values(), default=0) for tool, calls in after.items()}
