"""Many boxes for one Prometheus: their bodies from one server, their names by file_sd."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from aiohttp import web

from prometheus import recording
from prometheus.health import DOMAINS, health, problems
from prometheus.stack import copies, programs
from prometheus.stack.program import Program, address
from tests.box import control
from tests.box.box import make
from tests.grafana.dashboards import Target, filled, targets
from tests.real.stack.observatory import Series, ask
from tests.series import unsuccessful

RECORDED = re.compile(r"(grid:\w+:\w+)\{([^}]*)\}")
PATIENCE = 60.0  # seconds until a box is whole

Body = Callable[[int], bytes]


def scrape(url: str) -> bytes:
    """A body of an exporter."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        body: bytes = answer.read()
        return body


def whole(url: str) -> bytes:
    """A body in which every probe has found out what it asks for, the slow ones too."""
    end = time.monotonic() + PATIENCE
    while missing := unsuccessful(body := scrape(url)):
        assert time.monotonic() < end, missing
        time.sleep(0.1)
    return body


@contextlib.contextmanager
def typical_box(folder: Path, ttl: str | None = None) -> Iterator[Program]:
    """An exporter on a box as there are many: 2 cards, 13 containers, 11 services, 10 models."""
    box = make(folder / "box")
    box.configure(ttl=ttl)
    with control.served(box), programs.exporter(folder, address(), box.flags, box.environment) as exporter:
        yield exporter


def troubled(body: bytes) -> list[bytes]:
    """A box's body, and those of boxes in trouble made from it: one for each of several domains."""
    troubles = {
        "grid_tor_up": b"0.0",
        "grid_aide_clean": b"0.0",
        "grid_systemd_failed_units": b"2.0",
        'grid_gpu_temperature_celsius{gpu="1",': b"97.0",
    }
    made = [body]
    for start, value in troubles.items():
        broken, count = re.subn(rb"(?m)^(%s.*) \S+$" % re.escape(start.encode()), rb"\1 " + value, body)
        assert count, start
        made.append(broken)
    return made


def every_tenth(body: bytes) -> Body:
    """Gives each box its body: of ten, nine are well, and the others are in trouble by turns."""
    well, *rest = (gzip.compress(each) for each in troubled(body))
    return lambda number: rest[number // 10 % len(rest)] if number % 10 == 0 else well


@contextlib.contextmanager
def serving(body: Body) -> Iterator[str]:
    """Serves every box's body, gzipped: ``/metrics?box=7`` is that of box 7. Gives the address."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    where = address()

    async def answer(request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4", "Content-Encoding": "gzip"}
        return web.Response(body=body(int(request.query["box"])), headers=headers)

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/metrics", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        host, _, port = where.partition(":")
        await web.TCPSite(runner, host, int(port)).start()
        ready.set()
        await ended.wait()
        await runner.cleanup()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert ready.wait(30)
        yield where
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def watching(folder: Path, count: int, boxes: str, interval: str) -> Iterator[Program]:
    """A Prometheus with the project's files that watches so many boxes of this server."""
    here = address()
    copies.prometheus(folder, {}, here=here, alertmanager=address(), interval=interval)
    entries = [
        {"targets": [boxes], "labels": {"instance": f"box{number:04}", "__param_box": str(number)}}
        for number in range(count)
    ]
    (folder / "targets/grid.yml").write_text(yaml.safe_dump(entries), "utf-8")
    with programs.prometheus(folder, here) as prometheus:
        yield prometheus


def recorded_queries() -> list[Target]:
    """The fleet page's queries of recorded series as they are now, as Grafana sends them."""
    fleet = (target for target in targets() if target.page == "grid-fleet" and target.instant)
    return [target._replace(expr=filled(target.expr)) for target in fleet if RECORDED.search(target.expr)]


def raw(expr: str) -> str:
    """The same query on the boxes' own series: each recorded one is replaced by what it is recorded from."""
    return RECORDED.sub(lambda series: f"({_source(series[1], series[2])})", expr)


def _source(record: str, matchers: str) -> str:
    states = {recording.HEALTH: health, recording.PROBLEM: problems}
    if record not in states:
        return recording.aggregate(record, matchers)
    every = (
        f'label_replace({states[record](it.name, matchers)}, "domain", "{it.name}", "", "")' for it in DOMAINS
    )
    return " or ".join(every)


@dataclass(frozen=True)
class Fleet:
    """A Prometheus that watches so many boxes."""

    prometheus: Program
    boxes: int

    def query(self, expr: str) -> list[Series]:
        """The series that an expression gives now."""
        return ask(self.prometheus.url, "query", query=expr, time=time.time())

    def wait(self, expr: str, count: int, patience: float = 60) -> None:
        """Waits until an expression gives so many series."""
        end = time.monotonic() + patience
        while (there := len(self.query(expr))) != count:
            assert time.monotonic() < end, f"{there} of {count}: {expr}"
            time.sleep(0.2)

    def seconds(self, target: Target, expr: str) -> float:
        """How long the answer to a panel's query takes."""
        now = time.time()
        started = time.perf_counter()
        if target.instant:
            ask(self.prometheus.url, "query", query=expr, time=now)
        else:
            ask(self.prometheus.url, "query_range", query=expr, start=now - 20, end=now, step=5)
        return time.perf_counter() - started

    def page(self, rounds: int) -> tuple[float, float]:
        """How long the fleet page's queries take together, from recorded series and from the boxes' own.

        Medians of rounds that are interleaved, so that the machine's other work hits both.
        """
        recorded = own = 0.0
        for target in recorded_queries():
            taken = [
                (self.seconds(target, target.expr), self.seconds(target, raw(target.expr)))
                for _ in range(rounds)
            ]
            one, other = (statistics.median(each) for each in zip(*taken, strict=True))
            recorded, own = recorded + one, own + other
        return recorded, own


@contextlib.contextmanager
def watched(folder: Path, boxes: int, interval: str = "5s") -> Iterator[Fleet]:
    """A fleet whose every box has been scraped, and looked at by the rules."""
    for part in ("box", "prometheus"):
        (folder / part).mkdir()
    with typical_box(folder / "box") as exporter:
        body = whole(exporter.url)
    with (
        serving(every_tenth(body)) as where,
        watching(folder / "prometheus", boxes, where, interval) as prometheus,
    ):
        made = Fleet(prometheus, boxes)
        made.wait('up{job="grid"} == 1', boxes, patience=0.3 * boxes)
        made.wait("grid:health:code", len(DOMAINS) * boxes, patience=0.3 * boxes)
        yield made
