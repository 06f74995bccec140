"""What the exporter takes: memory, processor time for a scrape, and time to start."""

from __future__ import annotations

import os
import shlex
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import Effort, storm
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.bench.storms import save
from tests.box import box as fake
from tests.box.box import FakeBox
from tests.daemon import free_port

QUICK = ("host", "gpu", "containers", "services", "aide")
QUICK_TOOLS = ("nvidia-smi", "docker", "systemctl")
IMPORTS = "import aiohttp.web, prometheus_client"
EVERY = 2.5  # seconds between scrapes: more than twice the ttl, so that each finds everything quick due


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """Processor time, memory, and time."""
    cpu, memory, start = (directory / name for name in ("cpu", "memory", "start"))
    for place in (cpu, memory, start):
        place.mkdir()
    return [*_cpu(cpu, effort), _memory(memory, effort), _start_up(start, calm, effort)]


def _memory(directory: Path, effort: Effort) -> Table:
    """Resident memory beside the bare handler's with the same bytes."""
    found = Table(
        "Memory",
        f"Resident, in MB, after a storm of 10 clients; medians of {effort.rounds} processes.",
        ("grid-exporter", "bare handler", "difference"),
    )
    for thousands, size, limit in ((1, story.USUAL, 15), (10, story.LARGE, 40)):
        box = story.at_rest(directory / f"box-{thousands}", **size)
        pairs = [_memory_pair(box, directory) for _ in range(effort.rounds)]
        ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
        found.add(f"{thousands},000 series", ours, bare, ours - bare, target=Target("≤", limit))
    return found


def _memory_pair(box: FakeBox, directory: Path) -> tuple[float, float]:
    with servers.exporter(box) as ours:
        files = save(ours, directory)
        own = _resident_after_storm(ours)
    with servers.beside("bare", *files) as bare:
        return own, _resident_after_storm(bare)


def _resident_after_storm(server: Server) -> float:
    storm(server.url, 10, 1, "gzip")
    return server.resident()


def _start_up(directory: Path, calm: Calm, effort: Effort) -> Table:
    """From nothing to a first scrape that has it all."""
    box = fake.make(directory / "box", **story.USUAL)
    pairs = [
        calm.measured(lambda: (_timed(lambda: _first_scrape(box)), _timed(_import)))
        for _ in range(effort.rounds)
    ]
    ours, imports = (statistics.median(side) for side in zip(*pairs, strict=True))
    found = Table(
        "Start",
        f"From the start of the process to the end of its first scrape, which has every quick probe in it"
        f" ({', '.join(QUICK)}; their tools being Python's too); medians of {effort.rounds}, interleaved.",
        ("grid-exporter, s", f'python -c "{IMPORTS}", s', "ratio"),
    )
    ratio = statistics.median(own / other for own, other in pairs)
    found.add("start to first scrape", ours, imports, ratio, target=Target("≤", 3))
    return found


def _timed(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def _first_scrape(box: FakeBox) -> None:
    port = free_port()
    with servers.launched(servers.exporter_command(box, port), box.environment) as process:
        server = Server(f"http://127.0.0.1:{port}/metrics", process.pid)
        body = servers.wait_for(process, server).decode()
        for probe in QUICK:
            if f'grid_probe_success{{probe="{probe}"}} 1.0' not in body:
                raise AssertionError(f"{probe} is not in the first scrape:\n{body}")


def _import() -> None:
    with servers.launched([sys.executable, "-c", IMPORTS]) as process:
        process.wait()


def _cpu(directory: Path, effort: Effort) -> list[Table]:
    """Processor time for a scrape that finds everything quick due, and what its tools take."""
    box = story.configure(story.at_rest(directory / "box"), QUICK, ttl="1s")
    with servers.exporter(box) as ours, servers.node_exporter() as node:
        costs: dict[str, list[float]] = {"ours": [], "node": []}
        ours.get()
        before = _calls(box)
        for _ in range(effort.rounds * 2):
            time.sleep(EVERY)
            for name, server in (("ours", ours), ("node", node)):
                costs[name].append(1000 * _cost(server))
        calls = _calls(box) - before
    own, other = (statistics.median(each) for each in costs.values())
    ratio = statistics.median(a / b for a, b in zip(*costs.values(), strict=True))
    found = Table(
        "Processor time for a scrape",
        f"In ms, at a normal interval: everything quick ({', '.join(QUICK)}) is due; about 1,000 series;"
        f" medians of {effort.rounds * 2}, interleaved. The tools' own time is in the next table.",
        ("grid-exporter", "node_exporter", "ratio"),
    )
    found.add("a scrape", own, other, ratio, target=Target("≤", 2))
    return [found, _tools(box, calls, effort)]


def _cost(server: Server) -> float:
    before = server.cpu()
    server.get()
    time.sleep(0.2)  # what is still to do once the answer is out
    return server.cpu() - before


Calls = Counter[tuple[str, str]]


def _calls(box: FakeBox) -> Calls:
    """How often each quick tool was called with which arguments."""
    return Counter((tool, arguments) for tool in QUICK_TOOLS for arguments in box.runs(tool))


def _tools(box: FakeBox, calls: Calls, effort: Effort) -> Table:
    """What the tools took: the same calls once more, since a running exporter doesn't say."""
    found = Table(
        "The tools' processor time",
        "In ms for a scrape, of the fake tools; real ones take their own (docker: some 20 to 60 ms a call).",
        ("calls", "a call", "a scrape"),
    )
    for (tool, arguments), count in calls.items():
        argv = [f"{box.directory}/bin/{tool}", *shlex.split(arguments)]
        each = 1000 * statistics.median(_child_cpu(argv) for _ in range(effort.rounds))
        often = count / (effort.rounds * 2)
        found.add(f"{tool} {arguments.split('=')[0][:24]}", often, each, often * each)
    return found


def _child_cpu(argv: list[str]) -> float:
    """Processor time of one process, in seconds."""
    with Path(os.devnull).open("wb") as nowhere:
        child = os.posix_spawn(
            argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
        )
        _, _, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime
