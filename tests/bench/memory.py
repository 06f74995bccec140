"""Resident memory, beside the bare handler's with the same bytes."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import ENCODINGS, Effort, storm
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.bench.storms import save
from tests.box import box as fake
from tests.box.box import FakeBox

CLIENTS = 10
SECONDS = 4  # of a storm in each encoding; everything runs a few times meanwhile


def tables(directory: Path, _: Calm, effort: Effort) -> list[Table]:
    """A row for each size of a box."""
    found = Table(
        "Memory",
        f"Resident, in MB, after storms of {CLIENTS} clients, plain and gzip, while every ttl is 1 s; medians"
        f" of {effort.rounds} processes. The bare handler has the same bytes to give.",
        ("series", "grid-exporter", "bare handler", "difference"),
    )
    for thousands, size, limit in ((1, story.USUAL, 15), (10, story.LARGE, 40)):
        box = story.configure(fake.make(directory / f"box-{thousands}", **size), ttl="1s")
        triples = [_measure(box, directory) for _ in range(effort.rounds)]
        series, ours, bare = (statistics.median(side) for side in zip(*triples, strict=True))
        case = f"some {thousands},000 series"
        found.add(case, f"{series:,.0f}", ours, bare, ours - bare, target=Target("≤", limit))
    return [found]


def _measure(box: FakeBox, directory: Path) -> tuple[int, float, float]:
    """The number of series, and both servers' memory."""
    with servers.exporter(box) as ours:
        ours.get()
        time.sleep(1)
        own = _after_storms(ours)
        series, files = story.series(ours.get()), save(ours, directory)
    with servers.beside("bare", *files) as bare:
        return series, own, _after_storms(bare)


def _after_storms(server: Server) -> float:
    for encoding in ENCODINGS:
        storm(server.url, CLIENTS, SECONDS, encoding)
    return server.resident()
