"""Processor time for a scrape that finds everything quick due, beside node_exporter's, and its tools'."""

from __future__ import annotations

import contextlib
import os
import shlex
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.bench.storms import save
from tests.box import engine_api
from tests.box.box import FakeBox

OURS = "grid-exporter"

TOOLS = ("nvidia-smi", "docker", "systemctl")  # of what is quick
EVERY = 2.5  # seconds between scrapes: more than twice the ttl, so that each finds everything quick due
REST = 0.3  # seconds in which is done what is still to do once the answer is out
TIMES = 4  # scrapes a round

Calls = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a scrape took, in seconds: of the server's own processor time, and until the answer was there."""

    own: float
    lone: float


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """A table of the exporters, and one of the exporter's tools."""
    scrapes = TIMES * effort.rounds
    box, other = _box(directory / "box", api=True), _box(directory / "other", api=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(engine_api.served(box))
        ours = stack.enter_context(servers.exporter(box))
        files = save(ours, directory)
        running = {
            OURS: ours,
            "grid-exporter, docker's command line": stack.enter_context(servers.exporter(other)),
            "node_exporter": stack.enter_context(servers.node_exporter()),
            "bare handler": stack.enter_context(servers.beside("bare", *files)),
        }
        _all(running)  # the first is left out
        measured = calm.measurements
        before, calls = {name: it.tools_cpu() for name, it in running.items()}, _calls(box)
        costs = [calm.measured(lambda: _all(running)) for _ in range(scrapes)]
        measured = calm.measurements - measured  # disturbed ones are made again, and their tools count
        tools = {name: (it.tools_cpu() - before[name]) / measured for name, it in running.items()}
        calls = _calls(box) - calls
        found = Table(
            "Processor time for a scrape",
            f"At a normal interval: everything quick ({', '.join(story.QUICK)}) is due; plain, medians of"
            f" {scrapes}, interleaved; the tools' a mean. A lone scrape waits for its tools, here Python's."
            f" {story.amount('grid-exporter', ours.get())},"
            f" {story.amount('node_exporter', running['node_exporter'].get())}.",
            (
                "own, ms",
                "its tools', ms",
                "both, ms",
                "lone p50, ms",
                "lone p95, ms",
                "own, of node_exporter's",
            ),
        )
    for name in running:
        own = statistics.median(each[name].own for each in costs)
        lone = sorted(each[name].lone for each in costs)
        ratio = statistics.median(each[name].own / each["node_exporter"].own for each in costs)
        p50, p95 = statistics.median(lone), lone[int(0.95 * (len(lone) - 1))]
        figures = (own, tools[name], own + tools[name], p50, p95)
        target = Target("≤", 2) if name == OURS else None
        found.add(name, *(1000 * figure for figure in figures), ratio, target=target)
    return [found, _tools(box, calls, measured, effort.rounds)]


def _box(directory: Path, *, api: bool) -> FakeBox:
    box = story.configure(story.at_rest(directory), story.QUICK, ttl="1s")
    return story.configure(box, ["containers"], host=engine_api.host(box)) if api else box


def _all(running: Mapping[str, Server]) -> dict[str, Cost]:
    """What a scrape of each takes, after a pause in which all becomes due."""
    time.sleep(EVERY)
    return {name: _cost(server) for name, server in running.items()}


def _cost(server: Server) -> Cost:
    before, start = server.cpu(), time.monotonic()
    server.get()
    lone = time.monotonic() - start
    time.sleep(REST)
    return Cost(server.cpu() - before, lone)


def _calls(box: FakeBox) -> Calls:
    """How often each quick tool was called with which arguments."""
    return Counter((tool, arguments) for tool in TOOLS for arguments in box.runs(tool))


def _tools(box: FakeBox, calls: Calls, scrapes: int, rounds: int) -> Table:
    """What the tools took: the same calls once more, since a running exporter doesn't say."""
    found = Table(
        "The tools' processor time",
        f"In ms for a call, of the fake tools; medians of {rounds}. Real ones take their own (docker: some 20"
        " to 60 ms a call).",
        ("ms", "calls a scrape"),
    )
    for (tool, arguments), number in calls.items():
        argv = [f"{box.directory}/bin/{tool}", *shlex.split(arguments)]
        each = statistics.median(_child_cpu(argv) for _ in range(rounds))
        found.add(f"{tool} {arguments.split('=')[0][:24]}", 1000 * each, number / scrapes)
    return found


def _child_cpu(argv: list[str]) -> float:
    """Processor time of one process, in seconds."""
    with Path(os.devnull).open("wb") as nowhere:
        child = os.posix_spawn(
            argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
        )
        _, _, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime
