"""Scrapes without end while every tool suffers every fault: what the exporter takes stays flat."""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.box.box import TOOLS
from tests.box.files import put
from tests.faults.boxed import FAULTS, TIMEOUT, Boxed, boxed
from tests.faults.vitals import Vitals, at_rest, vitals
from tests.record import record
from tests.strict import parsed

MIB = 1024 * 1024
GROWTH = 4  # MiB; an output that is being read may take more for a moment
CLIENTS = 4
QUESTIONS = ("/metrics", "/metrics", "/metrics?collect[]=host", "/metrics?collect[]=gpu&collect[]=tor", "/")
SENSELESS = (
    b"",
    b"GET /met",
    b"\0" * 100,
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
)
UNREAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
# A configuration of twenty lines that stands for 4 ** 19 keys.
BOMB = "x0: &x0 {a: 1}\n" + "".join(
    f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 4)}]}}\n" for n in range(1, 20)
)


@dataclass
class Soak:
    """Who does what, all at once, until it is time."""

    host: Boxed
    seconds: float
    scrapes: list[int] = field(default_factory=lambda: [0] * CLIENTS)
    errors: list[str] = field(default_factory=list)
    seen: list[Vitals] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - not for secrets

    def run(self) -> None:
        """Everything, to its end."""
        workers = [*(lambda n=n: self._scrape(n) for n in range(CLIENTS)), self._break, self._pester]
        workers += [self._ignore_answers, self._reload]
        threads = [threading.Thread(target=self._until_the_end, args=(work,)) for work in workers]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.seen.append(vitals(self.host.exporter))
            time.sleep(0.5)

    def _until_the_end(self, work: Callable[[], Iterator[None]]) -> None:
        end = time.monotonic() + self.seconds
        try:
            for _ in work():
                if time.monotonic() > end:
                    return
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.errors.append(repr(error))

    def _scrape(self, number: int) -> Iterator[None]:
        """A scraper that keeps its connection; some of its answers are read as strictly as can be."""
        connection = http.client.HTTPConnection("127.0.0.1", self.host.exporter.port, timeout=TIMEOUT)
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
        with contextlib.closing(connection) as client:
            while True:
                question = QUESTIONS[self.scrapes[number] % len(QUESTIONS)]
                client.request("GET", question, headers=headers)
                answer = client.getresponse()
                body = answer.read().decode()
                assert answer.status == 200, body
                if question != "/" and self.scrapes[number] % 100 < len(QUESTIONS):
                    parsed(body)
                self.scrapes[number] += 1
                yield

    def _break(self) -> Iterator[None]:
        """Breaks tools, and repairs them."""
        while True:
            tool = self.rng.choice(TOOLS)
            if self.rng.random() < 0.4:
                self.host.box.repair(tool)
            else:
                self.host.fault(tool, self.rng.choice(FAULTS))
            time.sleep(0.2)
            yield

    def _pester(self) -> Iterator[None]:
        """Someone who connects, sends what makes no sense, and goes."""
        while True:
            with contextlib.ExitStack() as block:
                for number in range(20):
                    address = ("127.0.0.1", self.host.exporter.port)
                    client = block.enter_context(socket.create_connection(address, TIMEOUT))
                    client.sendall(SENSELESS[number % len(SENSELESS)])
            time.sleep(0.2)
            yield

    def _ignore_answers(self) -> Iterator[None]:
        """Clients that ask again and again and read no answer."""
        while True:
            with contextlib.ExitStack() as block:
                for _ in range(20):
                    client = block.enter_context(socket.socket())
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    client.connect(("127.0.0.1", self.host.exporter.port))
                    client.sendall(UNREAD)
                time.sleep(1)
            yield

    def _reload(self) -> Iterator[None]:
        """Someone who has a bomb read in place of the configuration, and then the configuration again."""
        path = self.host.box.directory / "config.yml"
        good = path.read_text()
        while True:
            for text in (f"{BOMB}probes: {{host: *x19}}\n", good):
                put(path, text)
                self.host.exporter.process.send_signal(signal.SIGHUP)
                time.sleep(1)
            yield


def soak(directory: Path, seconds: float) -> str:
    """Soaks for so long; returns what came of it."""
    with boxed(directory, timeout="2s") as host:
        healthy, before = host.values(), at_rest(host.exporter)
        soaking = Soak(host, seconds)
        soaking.run()
        host.repair(healthy)
        series, after = host.scrape(), at_rest(host.exporter)
        log = host.exporter.log.read_text()
    assert not soaking.errors
    assert "Traceback" not in log
    runs = {outcome: _runs(series, outcome) for outcome in ("success", "failure", "timeout")}
    early, late = _memory(soaking.seen)
    most = Vitals(*(max(getattr(it, name) for it in soaking.seen) for name in Vitals.__slots__))
    summary = ", ".join((
        f"{sum(soaking.scrapes):,} scrapes in {seconds:g} s",
        f"runs: {', '.join(f'{count:,} {outcome}' for outcome, count in runs.items())}",
        f"resident memory: {early:.1f} MiB early, {late:.1f} late, {most.memory / MIB:.1f} at most",
        f"descriptors: {before.descriptors} before, {most.descriptors} at most, {after.descriptors} after",
        f"threads: {before.threads}, {most.threads}, {after.threads}",
        f"processes: {before.children}, {most.children}, {after.children}",
        f"lines in the log: {len(log.splitlines())}",
    ))  # fmt: skip
    assert all(runs.values()), summary
    assert late - early < GROWTH, summary
    assert most.descriptors < 200, summary
    assert most.threads < 40, summary
    assert after.descriptors <= before.descriptors + 2, summary
    assert after.threads <= before.threads + 2, summary
    return summary


def _runs(series: dict[str, float], outcome: str) -> int:
    """How many runs of all probes together ended so."""
    prefix = f'grid_probe_runs_total{{outcome="{outcome}"'
    return round(sum(value for name, value in series.items() if name.startswith(prefix)))


def _memory(seen: Sequence[Vitals]) -> tuple[float, float]:
    """The median of the second quarter, when all is warm, and of the last."""
    quarter = len(seen) // 4
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    return (
        statistics.median(it.memory for it in early) / MIB,
        statistics.median(it.memory for it in late) / MIB,
    )


def test_a_short_soak(tmp_path: Path) -> None:
    """Some seconds of everything at once: each answer is whole, and nothing piles up."""
    print(soak(tmp_path, 10))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_long_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Minutes of it: tens of thousands of scrapes, thousands of runs; what it came to is kept and printed."""
    summary = soak(tmp_path, 600)
    record("soak", summary)
    with capsys.disabled():
        print(f"\n{summary}")
