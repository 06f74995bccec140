"""What a larger box costs: a run of a probe, a scrape, and how long they hold up the event loop."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from unittest import mock

from exporter.config.load import load
from exporter.engine.cache import Cache
from exporter.engine.runner import Runner
from exporter.engine.scrape import Scraper
from exporter.engine.self_metrics import Reload, SelfMetrics
from exporter.probe import Host
from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.report import Table, Target, Value
from tests.box import box as fake
from tests.box.box import TOOLS, FakeBox

BEAT = 0.001  # seconds
LOOKS = 1000  # at a kept body: one alone is too short to measure


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows. probe: that feels it. size: the argument of the fake box that sets it."""

    what: str
    probe: str
    size: str
    steps: tuple[int, ...]


GROWTHS = (
    Growth("containers", "containers", "count", (10, 100, 1000)),
    Growth("GPUs", "gpu", "gpus", (1, 2, 4, 8, 16)),
    Growth("models", "disk", "models", (10, 100, 1000, 10_000)),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run, and the scrapes after it, took of the exporter's own processor time, in seconds.

    body, packed: making the body after a run, plain and gzipped. kept: a scrape that finds it made.
    tools: what the processes that the run started took. processes: how many they are. blocked: the longest
    time that the event loop stood still in the run and while both bodies were made.
    """

    run: float
    body: float
    packed: float
    kept: float
    tools: float
    processes: float
    blocked: float

    def values(self, number: int) -> Sequence[Value]:
        """As the table's columns show them, for so many things."""
        times = (1e3 * self.run, 1e6 * self.run / number, 1e3 * self.body, 1e3 * self.packed, 1e6 * self.kept)
        return (*times, 1e3 * self.blocked, 1e3 * self.tools, f"{self.processes:g}")

    def steepest(self, before: Cost) -> float:
        """How many times as much as before a run costs, or a new body, whichever grew more."""
        return max(self.run / before.run, self.body / before.body, self.packed / before.packed)


def tables(directory: Path, calm: Calm, effort: Effort, growths: Sequence[Growth] = GROWTHS) -> list[Table]:
    """All growths, step by step."""
    found = Table(
        "Growth",
        f"The exporter's own processor time for a run and for the scrape after it (a new body), and that of"
        f" the run's processes (a scan is the real one, the others are fake); medians of"
        f" {effort.rounds}. The last column: how much the steepest of them grew since the row above, for each"
        " time that the number did: 1 is linear.",
        (
            *("series", "a run, ms", "for each, µs", "a new body, ms", "gzipped, ms", "a kept one, µs"),
            *("event loop blocked, ms", "its processes, ms", "processes", "growth"),
        ),
    )
    for growth in growths:
        before: tuple[int, Cost] | None = None
        for number in growth.steps:
            box = fake.make(directory / f"{growth.what}-{number}", **{growth.size: number})
            with mock.patch.dict(os.environ, box.environment):
                series, cost = calm.measured(partial(_measure, box, growth.probe, effort.rounds))
            step = cost.steepest(before[1]) / (number / before[0]) if before else "-"
            target = Target("≤", 1) if before else None
            found.add(f"{number:,} {growth.what}", f"{series:,}", *cost.values(number), step, target=target)
            before = number, cost
    return [found]


def _measure(box: FakeBox, kind: str, rounds: int) -> tuple[int, Cost]:
    return asyncio.run(_grown(box, kind, rounds))


async def _grown(box: FakeBox, kind: str, rounds: int) -> tuple[int, Cost]:
    """The number of series, and the medians of what each round cost."""
    here = box.directory
    plan = load(here / "config.yml", Host(proc=here / "proc", cgroup=here / "cgroup"))
    cache = Cache()
    cache.configure([next(probe for probe in plan.probes if probe.goes_by(kind))])
    scraper = Scraper(cache, SelfMetrics([kind], [kind], Reload(successful=True, time=time.time())))
    (runner,) = cache.runners.values()
    await _run(runner)  # the first is left out
    costs = [await _cost(box, scraper, runner) for _ in range(rounds)]
    medians = (statistics.median(getattr(cost, field.name) for cost in costs) for field in fields(Cost))
    body = await scraper.scrape([], 60, compress=False)
    return sum(not line.startswith(b"#") for line in body.splitlines()), Cost(*medians)


async def _cost(box: FakeBox, scraper: Scraper, runner: Runner) -> Cost:
    blocked = await _longest_block(runner, scraper)
    before, others = _processes(box), _children()
    run = await _cpu(_run(runner))
    processes, tools = _processes(box) - before, _children() - others
    body = await _cpu(scraper.scrape([], 60, compress=False))
    packed = await _cpu(scraper.scrape([], 60, compress=True))
    start = time.process_time()
    for _ in range(LOOKS):
        scraper.kept([], compress=False)
    kept = (time.process_time() - start) / LOOKS
    return Cost(run, body, packed, kept, tools, processes, blocked)


async def _run(runner: Runner) -> None:
    """One run, due or not."""
    runner.replace(runner.probe)
    runner.start_if_due(runner.clock())
    await runner.finished()


async def _cpu(work: Awaitable[object]) -> float:
    """What the work takes of this process's time, all threads included, in seconds."""
    start = time.process_time()
    await work
    return time.process_time() - start


async def _longest_block(runner: Runner, scraper: Scraper) -> float:
    """For how long the loop came to nothing else during a run and two scrapes, at most, in seconds."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            start = time.monotonic()
            await asyncio.sleep(BEAT)
            longest = max(longest, time.monotonic() - start - BEAT)

    beating = asyncio.create_task(beat())
    await _run(runner)
    for compress in (False, True):
        await scraper.scrape([], 60, compress=compress)
        await asyncio.sleep(2 * BEAT)
    beating.cancel()
    return longest


def _children() -> float:
    """Processor time of all processes that were started here and have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _processes(box: FakeBox) -> int:
    return sum(len(box.runs(tool)) for tool in TOOLS)
