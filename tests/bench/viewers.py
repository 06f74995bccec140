"""What a viewer waits for: the exporter beside the old design, and beside the old design as it was mended."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort, stand_in_line, storm
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.box.box import FakeBox

FACTOR = 20  # nobody waits for ten viewers of the undivided times, one after the other
SECONDS = 2.0  # that viewers stand in line; longer where that could not show the target yet
MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Design:
    """An old design. times: how much quicker the exporter is to be."""

    module: str
    name: str
    times: float


DESIGNS = (
    Design("old_inline", "every check in line", 1000),
    Design("old_pooled", "a pool of threads, and what is slow is kept", 100),
)


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """How long the half of all requests takes at most."""
    found = Table(
        "Against the old design",
        f"p50 while every tool is slow, their times (20 s for a scan) divided by {FACTOR}; medians of"
        f" {effort.rounds}, interleaved. Who still stands in line at the end counts with the time until then:"
        " the old design takes at least as long.",
        ("old design, s", "grid-exporter, ms", "times quicker"),
    )
    box, own = story.at_work(directory / "old"), story.at_work(directory / "new")
    with servers.exporter(own) as ours:
        for each in (box, own):
            each.slow(1 / FACTOR)
        for design in DESIGNS:
            for clients in effort.clients:
                pairs = [
                    calm.measured(partial(_pair, design, box, ours, clients)) for _ in range(effort.rounds)
                ]
                old, new = (statistics.median(side) for side in zip(*pairs, strict=True))
                quicker = statistics.median(theirs / own for theirs, own in pairs)
                case = f"{design.name}, {clients} {'client' if clients == 1 else 'clients'}"
                found.add(case, old, 1000 * new, quicker, target=Target("≥", design.times))
    return [found]


def _pair(design: Design, box: FakeBox, ours: Server, clients: int) -> tuple[float, float]:
    """The p50 of the design and of ours, in seconds. Each storm has a design of its own: it has a queue."""
    ours.get()
    new = storm(ours.url, clients, 1, "identity")
    with servers.beside(design.module, box.directory, env=box.environment) as server:
        seconds = max(SECONDS, MARGIN * design.times * new.p50)
        old = stand_in_line(server.url, clients, seconds, "identity")
    if old.failures or new.failures:
        raise AssertionError(f"{design.module}: requests of {clients} clients were not answered well")
    return old.p50, new.p50
