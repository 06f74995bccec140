"""Storms: answers a second, and how late the latest are, beside other exporters and a bare handler."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.bench import servers, story
from tests.bench.calm import Calm
from tests.bench.load import ENCODINGS, Effort, Load, storm
from tests.bench.report import Table, Target
from tests.bench.servers import Server

STEADY = ("bare", "idle")  # a short storm shows all of it; the others are restless, or slow themselves
AT_WORK = ("slow", "hung")
SETTLE = 0.5  # seconds: after a rest all tools start at once, which in a lasting storm they do not

Loads = Mapping[str, list[Load]]


def tables(directory: Path, calm: Calm, effort: Effort) -> list[Table]:
    """Two tables from the same storms."""
    measured = f"medians of {effort.rounds} storms, interleaved; about 1,000 series"
    rates = Table(
        "Throughput",
        f"Answers a second while every tool is slow, and at work (a scan takes 20 s, Tor 5 s, nvidia-smi 2 s,"
        f" docker 1 s); {measured}.",
        (
            *("grid-exporter", "bare handler", "prometheus-client", "node_exporter"),
            *("times node_exporter", "of the bare handler"),
        ),
    )
    tails = Table(
        "The slowest of a hundred",
        "p99 in ms, of the same storms: nothing due, every tool slow, nvidia-smi hung besides.",
        ("idle p50", "idle", "slow", "hung", "hung / idle", "slow / idle"),
    )
    with _all(directory) as running:
        for clients in effort.clients:
            for encoding, name in ENCODINGS.items():
                loads = _interleaved(running, clients, encoding, calm, effort)
                case = f"{clients} {'client' if clients == 1 else 'clients'}, {name}"
                _add_rates(rates, case, loads)
                _add_tails(tails, case, loads)
    return [rates, tails]


@contextlib.contextmanager
def _all(directory: Path) -> Iterator[Mapping[str, Server]]:
    """Every server that takes part. Who isn't asked rests, so that none disturbs another."""
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(servers.exporter(story.at_rest(directory / "idle")))
        files = save(idle, directory)
        yield {
            "bare": stack.enter_context(servers.beside("bare", *files)),
            "idle": idle,
            "slow": stack.enter_context(servers.exporter(story.slow(directory / "slow"))),
            "hung": stack.enter_context(servers.exporter(story.hung(directory / "hung"))),
            "client": stack.enter_context(servers.beside("plain_client", files[0])),
            "node": stack.enter_context(servers.node_exporter()),
        }


def save(server: Server, directory: Path) -> tuple[Path, Path]:
    """Files with a server's body, plain and compressed."""
    files = directory / "body.txt", directory / "body.gz"
    for file, encoding in zip(files, ENCODINGS, strict=True):
        file.write_bytes(server.get(encoding))
    return files


def _interleaved(
    running: Mapping[str, Server], clients: int, encoding: str, calm: Calm, effort: Effort
) -> Loads:
    """Storms on each server in turn, again and again: a noisy moment of the machine hits them all."""
    loads: dict[str, list[Load]] = {name: [] for name in running}
    for _ in range(effort.rounds):
        for name, server in running.items():
            seconds = effort.seconds * (1 if name in STEADY else 2)
            rest = SETTLE if name in AT_WORK else 0
            loads[name].append(calm.measured(partial(_storm, server, clients, seconds, encoding, rest)))
    for name, each in loads.items():
        if failures := sum(load.failures for load in each):
            raise AssertionError(f"{name}: {failures} requests of {clients} clients were not answered well")
    return loads


def _storm(server: Server, clients: int, seconds: int, encoding: str, rest: float) -> Load:
    server.get(encoding)  # the first scrape after a rest is left out
    time.sleep(rest)
    return storm(server.url, clients, seconds, encoding)


def _add_rates(table: Table, case: str, loads: Loads) -> None:
    names = ("slow", "bare", "client", "node")
    rates = (statistics.median(load.rate for load in loads[name]) for name in names)
    shares = (_ratio(loads["slow"], loads[name], "rate") for name in ("node", "bare"))
    table.add(case, *rates, *shares, target=Target("≥", 0.8))


def _add_tails(table: Table, case: str, loads: Loads) -> None:
    p50 = statistics.median(load.p50 for load in loads["idle"])
    p99 = (statistics.median(load.p99 for load in loads[name]) for name in ("idle", "slow", "hung"))
    shares = (_ratio(loads[name], loads["idle"], "p99") for name in ("hung", "slow"))
    table.add(case, *(1000 * seconds for seconds in (p50, *p99)), *shares, target=Target("≤", 2))


def _ratio(these: list[Load], those: list[Load], figure: str) -> float:
    """The median of the ratios of storms that followed each other."""
    pairs = zip(these, those, strict=True)
    ratios: list[float] = [getattr(this, figure) / getattr(that, figure) for this, that in pairs]
    return statistics.median(ratios)
