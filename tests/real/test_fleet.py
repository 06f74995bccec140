"""Hundreds of boxes in a real Prometheus: it takes them, and their page answers as quickly as one box's."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.prometheus import promtool
from tests.real import fleet
from tests.real.fleet import Fleet, watched
from tests.real.stack.observatory import Series

pytestmark = [pytest.mark.real("prometheus", "promtool"), pytest.mark.timeout(1800)]

BOXES = 200
MORE = 500
MANY = 1000
TIMES = 10  # so many times quicker than the boxes' own series the page must be
ROUNDS = 3


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Some hundred boxes with all that a box has."""
    with watched(tmp_path_factory.mktemp("fleet"), BOXES) as made:
        yield made


def test_what_is_recorded_is_what_the_boxes_say(some: Fleet) -> None:
    """Every query of the fleet page gives the same series and values from the recorded and the raw series."""
    some.wait("max by (instance) (grid:health:code) > 0", BOXES // 10)
    for target in fleet.recorded_queries():
        assert labelled(some.query(target.expr)) == labelled(some.query(fleet.raw(target.expr))), str(target)


def labelled(answer: list[Series]) -> dict[frozenset[tuple[str, str]], str]:
    """The values by their labels."""
    return {frozenset(series["metric"].items()): series["value"][1] for series in answer}


def test_every_box_has_its_row(some: Fleet) -> None:
    """The table's rows are the boxes by name, and the tenth that is in trouble has a word of trouble."""
    boxes = [target.expr for target in fleet.recorded_queries() if target.panel == "Boxes"]
    (worst,) = [expr for expr in boxes if expr.startswith("max by (job, instance) (grid:health:code")]
    codes = {series["metric"]["instance"]: float(series["value"][1]) for series in some.query(worst)}
    assert codes.keys() == {f"box{number:04}" for number in range(BOXES)}
    assert {name for name, code in codes.items() if code > 0} == {f"box{n:04}" for n in range(0, BOXES, 10)}


def test_the_page_answers_ten_times_quicker_than_the_boxes_own_series(some: Fleet) -> None:
    """All its queries together, medians of interleaved rounds, so that the machine's other work hits both."""
    assert ratio(some) >= TIMES


@pytest.mark.long
def test_the_more_boxes_the_more_it_matters(tmp_path: Path) -> None:
    """With more boxes the page still has its answers, in a tenth of the time at most."""
    with watched(tmp_path, MORE, "30s") as made:
        assert ratio(made) >= TIMES


def ratio(of: Fleet) -> float:
    """How many times longer the fleet page takes from raw series than from recorded ones."""
    recorded, raw = of.page(ROUNDS)
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
