"""From nothing to a first scrape that has every quick probe in it."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.box import box as fake
from tests.box.box import FakeBox
from tests.daemon import free_port

IMPORTS = "import aiohttp.web, prometheus_client"


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """One row: the exporter beside its libraries alone."""
    box = fake.make(directory / "box", **story.USUAL)
    pairs = [
        calm.measured(lambda: (_timed(lambda: _first_scrape(box)), _timed(_import)))
        for _ in range(effort.rounds)
    ]
    ours, imports = (statistics.median(side) for side in zip(*pairs, strict=True))
    found = Table(
        "Start",
        f"From the start of the process to the end of its first scrape, which has every quick probe in it"
        f" ({', '.join(story.QUICK)}; their tools being Python's too); medians of"
        f" {effort.rounds}, interleaved.",
        ("grid-exporter, s", f'python -c "{IMPORTS}", s', "ratio"),
    )
    ratio = statistics.median(own / other for own, other in pairs)
    found.add("start to first scrape", ours, imports, ratio, target=Target("≤", 1.5))
    return [found]


def _timed(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def _first_scrape(box: FakeBox) -> None:
    port = free_port()
    with servers.launched(servers.exporter_command(box, port), box.environment) as process:
        server = Server(f"http://127.0.0.1:{port}/metrics", process.pid)
        body = servers.wait_for(process, server).decode()
        for probe in story.QUICK:
            if f'grid_probe_success{{probe="{probe}"}} 1.0' not in body:
                raise AssertionError(f"{probe} is not in the first scrape:\n{body}")


def _import() -> None:
    with servers.launched([sys.executable, "-c", IMPORTS]) as process:
        process.wait()
