"""Hundreds of boxes in a real Prometheus: it takes them, and their page answers as quickly as one box's."""

from __future__ import annotations

import contextlib
import gzip
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from prometheus.stack.program import Program
from tests.grafana.dashboards import Target
from tests.prometheus import promtool
from tests.real import fleet
from tests.real.stack.observatory import Series, ask

pytestmark = pytest.mark.real("prometheus", "promtool")

BOXES = 200
MANY = 1000
TIMES = 10  # so many times quicker than the boxes' own series the page must be
ROUNDS = 3


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


@contextlib.contextmanager
def watched(folder: Path, boxes: int) -> Iterator[Fleet]:
    """A fleet whose every box has been scraped, and looked at by the rules."""
    for part in ("box", "prometheus"):
        (folder / part).mkdir()
    with fleet.typical_box(folder / "box") as exporter:
        body = fleet.scrape(exporter.url)
    with (
        fleet.serving(fleet.every_tenth(body)) as where,
        fleet.watching(folder / "prometheus", boxes, where, "5s") as prometheus,
    ):
        made = Fleet(prometheus, boxes)
        made.wait('up{job="grid"} == 1', boxes, patience=0.3 * boxes)
        made.wait("grid:health:code", 8 * boxes, patience=0.3 * boxes)
        yield made


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Some hundred boxes with all that a box has."""
    with watched(tmp_path_factory.mktemp("fleet"), BOXES) as made:
        yield made


def test_what_is_recorded_is_what_the_boxes_say(some: Fleet) -> None:
    """Every query of the fleet page gives the same series and values from the recorded and the raw series."""
    some.wait("max by (instance) (grid:health:code) > 0", BOXES // 10)
    for target in fleet.recorded_queries():
        assert told(some.query(target.expr)) == told(some.query(fleet.raw(target.expr))), str(target)


def told(answer: list[Series]) -> dict[frozenset[tuple[str, str]], str]:
    """The values by their labels."""
    return {frozenset(series["metric"].items()): series["value"][1] for series in answer}


def test_every_box_has_its_row(some: Fleet) -> None:
    """The table's rows are the boxes by name, and the tenth that is in trouble has a word of trouble."""
    (worst,) = {t.expr for t in fleet.recorded_queries() if t.panel == "Worst state over time"}
    codes = {series["metric"]["instance"]: float(series["value"][1]) for series in some.query(worst)}
    assert codes.keys() == {f"box{number:04}" for number in range(BOXES)}
    assert {name for name, code in codes.items() if code > 0} == {f"box{n:04}" for n in range(0, BOXES, 10)}


def test_the_page_answers_ten_times_quicker_than_the_boxes_own_series(some: Fleet) -> None:
    """All its queries together, medians of interleaved rounds, so that the machine's other work hits both."""
    assert ratio(some) >= TIMES


@pytest.mark.long
def test_a_thousand_boxes_with_all_that_a_box_has(tmp_path: Path) -> None:
    """They are scraped, recorded, and shown as quickly in proportion."""
    with watched(tmp_path, MANY) as made:
        assert ratio(made) >= TIMES


def ratio(of: Fleet) -> float:
    """How many times longer the fleet page takes from raw series than from recorded ones."""
    queries = fleet.recorded_queries()
    assert len(queries) > 10
    recorded = raw = 0.0
    for target in queries:
        rounds = [
            (of.seconds(target, target.expr), of.seconds(target, fleet.raw(target.expr)))
            for _ in range(ROUNDS)
        ]
        one, other = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
        recorded, raw = recorded + one, raw + other
    print(f"{of.boxes} boxes: {recorded:.3f} s recorded, {raw:.3f} s raw")
    return raw / recorded


def test_prometheus_takes_a_thousand_boxes_by_file_sd(tmp_path: Path) -> None:
    """The files are good, every box is scraped under its own name, and new ones come without a reload."""
    body = gzip.compress(b"grid_exporter_build_info 1\n")
    with (
        fleet.serving(lambda _: body) as where,
        fleet.watching(tmp_path, MANY, where, "5s") as prometheus,
    ):
        checked = promtool.run("promtool", "check", "config", tmp_path / "prometheus.yml")
        assert checked.returncode == 0, checked.stderr
        made = Fleet(prometheus, MANY)
        made.wait('grid_exporter_build_info{job="grid", instance=~"box.+"}', MANY)
        more = [{"targets": [where], "labels": {"instance": "new", "__param_box": "0"}}]
        (tmp_path / "targets/grid-more.yml").write_text(yaml.safe_dump(more), "utf-8")
        made.wait('grid_exporter_build_info{instance="new"}', 1)
