"""Storms: answers a second, and how late the latest are, beside other exporters and a bare handler."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import ENCODINGS, Effort, Load, storm
from tests.bench.report import Table, Target
from tests.bench.servers import Server
from tests.series import unsuccessful

STEADY = ("bare", "idle")  # a short storm shows all of it; the others are restless, or slow themselves
AT_WORK = ("slow", "hung")
BESIDE = "beside"  # the bare handler, while the slow tools are at work for somebody else
NOW_AND_THEN = 0.1  # seconds
SETTLE = 0.5  # seconds: after a rest all tools start at once, which in a lasting storm they do not

SHOWN = {"grid-exporter": "slow", "node_exporter": "node"}
TIMEOUT = 60.0  # seconds
SAME = 1.05  # times as long may a body be: some series come and go

Servers = Mapping[str, Server]
Loads = Mapping[str, list[Load]]


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """Two tables from the same storms."""
    with _all(directory) as running:
        rates, tails = _rates(running, effort), _tails(effort)
        for clients in effort.clients:
            for encoding, name in ENCODINGS.items():
                loads = _interleaved(running, clients, encoding, calm, effort)
                case = f"{clients} {'client' if clients == 1 else 'clients'}, {name}"
                _add_rates(rates, case, loads)
                _add_tails(tails, case, loads)
        _see_that_they_give_the_same(running["slow"], running["bare"])
    return [rates, tails]


def _rates(running: Servers, effort: Effort) -> Table:
    amounts = (story.amount(name, running[key].get()) for name, key in SHOWN.items())
    return Table(
        "Throughput",
        f"Answers a second while every tool is slow, and at work (a scan takes 20 s, Tor 5 s, nvidia-smi 2 s,"
        f" docker 1 s), beside the same with nothing due; medians of {effort.rounds} storms, interleaved."
        f" {', '.join(amounts)}; the others give grid-exporter's.",
        (
            *("grid-exporter", "nothing due", "bare handler", "prometheus-client", "node_exporter"),
            *("times node_exporter", "of the bare handler"),
        ),
    )


def _tails(effort: Effort) -> Table:
    return Table(
        "The slowest of a hundred",
        f"p99 in ms, of the same storms: nothing due, every tool slow, nvidia-smi hung besides. For a late"
        " answer wrk counts those that it would have asked for meanwhile: p99 leaves out a hundredth of the"
        " time. What slow tools cost a bare handler that only runs on the same machine is the machine's part,"
        " and the target a share of that."
        f" Medians of {effort.rounds}, and of the ratios of storms that followed each other.",
        (
            *("p50, nothing due", "nothing due", "slow", "hung", "bare handler beside slow tools"),
            *("nothing due / bare handler alone", "hung / nothing due", "slow / nothing due"),
            "slow / bare handler beside slow tools",
        ),
    )


@contextlib.contextmanager
def _all(directory: Path) -> Iterator[Servers]:
    """Every server that takes part. Who isn't asked rests, so that none disturbs another."""
    boxes = {
        "idle": story.at_rest(directory / "idle"),
        "slow": story.at_work(directory / "slow"),
        "hung": story.at_work(directory / "hung"),
    }
    with contextlib.ExitStack() as stack:
        ours = {name: stack.enter_context(servers.exporter(box)) for name, box in boxes.items()}
        for server in ours.values():
            _until_whole(server)
        for name in AT_WORK:
            boxes[name].slow()
        boxes["hung"].fault("nvidia-smi", "hang")
        files = save(ours["idle"], directory)
        yield {
            "bare": stack.enter_context(servers.beside("bare", *files)),
            **ours,
            "client": stack.enter_context(servers.beside("plain_client", files[0])),
            "node": stack.enter_context(servers.node_exporter()),
        }


def _until_whole(server: Server) -> None:
    """Waits until every probe has found out what it asks for."""
    end = time.monotonic() + TIMEOUT
    while missing := unsuccessful(server.get()):
        if time.monotonic() > end:
            raise AssertionError(f"no success: {missing}")
        time.sleep(0.1)


def _see_that_they_give_the_same(ours: Server, bare: Server) -> None:
    sizes = len(ours.get()), len(bare.get())
    if max(sizes) > SAME * min(sizes):
        raise AssertionError(f"they were compared with bodies of {sizes} bytes")


def save(server: Server, directory: Path) -> tuple[Path, Path]:
    """Files with a server's body, plain and compressed."""
    files = directory / "body.txt", directory / "body.gz"
    for file, encoding in zip(files, ENCODINGS, strict=True):
        file.write_bytes(server.get(encoding))
    return files


def _interleaved(running: Servers, clients: int, encoding: str, calm: Calm, effort: Effort) -> Loads:
    """Storms on each server in turn, there and back: a noisy moment of the machine hits them all."""
    loads: dict[str, list[Load]] = {name: [] for name in (*running, BESIDE)}
    for number in range(effort.rounds):
        for name in sorted(loads, reverse=number % 2 > 0):
            seconds = effort.seconds * (1 if name in STEADY else 2)
            measure = partial(_storm, running.get(name, running["bare"]), clients, seconds, encoding)
            busy = running["slow"] if name == BESIDE else None
            loads[name].append(calm.measured(partial(measure, busy)))
    for name, each in loads.items():
        if failures := sum(load.failures for load in each):
            raise AssertionError(f"{name}: {failures} requests of {clients} clients were not answered well")
    return loads


def _storm(server: Server, clients: int, seconds: int, encoding: str, busy: Server | None) -> Load:
    with _kept_busy(busy) if busy else contextlib.nullcontext():
        server.get(encoding)  # the first scrape after a rest is left out
        time.sleep(SETTLE)
        return storm(server.url, clients, seconds, encoding)


@contextlib.contextmanager
def _kept_busy(server: Server) -> Iterator[None]:
    """Asks this server often enough to keep its tools at work."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(NOW_AND_THEN):
            server.get()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def _add_rates(table: Table, case: str, loads: Loads) -> None:
    names = ("slow", "idle", "bare", "client", "node")
    rates = (statistics.median(load.rate for load in loads[name]) for name in names)
    shares = (_ratio(loads["slow"], loads[name], "rate") for name in ("node", "bare"))
    table.add(case, *rates, *shares, target=Target("≥", 0.8))


def _add_tails(table: Table, case: str, loads: Loads) -> None:
    p50 = statistics.median(load.p50 for load in loads["idle"])
    p99 = (statistics.median(load.p99 for load in loads[name]) for name in ("idle", "slow", "hung"))
    bare = 1000 * statistics.median(load.p99 for load in loads[BESIDE])
    shares = (
        _ratio(loads[this], loads[that], "p99")
        for this, that in (("idle", "bare"), ("hung", "idle"), ("slow", "idle"), ("slow", BESIDE))
    )
    table.add(case, *(1000 * seconds for seconds in (p50, *p99)), bare, *shares, target=Target("≤", 1.5))


def _ratio(these: list[Load], those: list[Load], value: str) -> float:
    """The median of the ratios of storms that followed each other."""
    pairs = zip(these, those, strict=True)
    ratios: list[float] = [getattr(this, value) / getattr(that, value) for this, that in pairs]
    return statistics.median(ratios)
