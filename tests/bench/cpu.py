"""Processor time for a scrape that finds everything quick due, beside node_exporter's, and its tools'."""

from __future__ import annotations

import os
import shlex
import statistics
import time
from collections import Counter
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.box.box import FakeBox

TOOLS = ("nvidia-smi", "docker", "systemctl")  # of what is quick
EVERY = 2.5  # seconds between scrapes: more than twice the ttl, so that each finds everything quick due
REST = 0.2  # seconds in which is done what is still to do once the answer is out

Calls = Counter[tuple[str, str]]


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """A table of the exporters, and one of the exporter's tools."""
    scrapes = 2 * effort.rounds
    box = story.configure(story.at_rest(directory / "box"), story.QUICK, ttl="1s")
    with servers.exporter(box) as ours, servers.node_exporter() as node:
        ours.get()
        before = _calls(box)
        costs = [calm.measured(lambda: (_cost(ours), _cost(node))) for _ in range(scrapes)]
        calls = _calls(box) - before
        found = Table(
            "Processor time for a scrape",
            f"In ms, at a normal interval: everything quick ({', '.join(story.QUICK)}) is due; plain;"
            f" medians of {scrapes}, interleaved. {story.amount('grid-exporter', ours.get())},"
            f" {story.amount('node_exporter', node.get())}. The tools' own time is in the next table.",
            ("grid-exporter", "node_exporter", "ratio"),
        )
    own, other = (1000 * statistics.median(side) for side in zip(*costs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in costs)
    found.add("a scrape", own, other, ratio, target=Target("≤", 2))
    return [found, _tools(box, calls, effort.rounds)]


def _cost(server: Server) -> float:
    """What a scrape takes, in seconds, with a pause before it in which all becomes due."""
    time.sleep(EVERY)
    before = server.cpu()
    server.get()
    time.sleep(REST)
    return server.cpu() - before


def _calls(box: FakeBox) -> Calls:
    """How often each quick tool was called with which arguments."""
    return Counter((tool, arguments) for tool in TOOLS for arguments in box.runs(tool))


def _tools(box: FakeBox, calls: Calls, rounds: int) -> Table:
    """What the tools took: the same calls once more, since a running exporter doesn't say."""
    found = Table(
        "The tools' processor time",
        f"In ms for a call, of the fake tools; medians of {rounds}. Real ones take their own (docker: some 20"
        " to 60 ms a call).",
        ("ms",),
    )
    for tool, arguments in calls:
        argv = [f"{box.directory}/bin/{tool}", *shlex.split(arguments)]
        each = statistics.median(_child_cpu(argv) for _ in range(rounds))
        found.add(f"{tool} {arguments.split('=')[0][:24]}", 1000 * each)
    return found


def _child_cpu(argv: list[str]) -> float:
    """Processor time of one process, in seconds."""
    with Path(os.devnull).open("wb") as nowhere:
        child = os.posix_spawn(
            argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
        )
        _, _, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime
