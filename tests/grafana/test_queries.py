"""A real Prometheus answers every query of every page, for one box and for several."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grafana.sdk import SEVERAL
from prometheus.health import DOMAINS
from tests.daemon import free_port
from tests.grafana.box import BARE, BOXES, DOWN, RESTARTED, SPAN, openmetrics
from tests.grafana.dashboards import (
    ABSENT,
    ALL,
    EVENTS,
    FILLED,
    annotation_queries,
    every_query,
    filled,
    metrics,
    organized,
    panels,
    targets,
    variable_queries,
)

pytestmark = pytest.mark.real("prometheus", "promtool")
OWN = {"ups_load_watts"}  # which a command of the box prints
PRESENT = [target for target in targets() if not ABSENT.fullmatch(target.expr)]
PAGES = sorted({target.page for target in PRESENT})
FEWER_COLUMNS = {"GPUs now", "Links and limits", "Wear"}  # where several boxes are chosen


class Prometheus:
    """One that answers from the boxes' blocks."""

    def __init__(self, address: str, end: int) -> None:
        self._address = address
        self.end = end

    def answer(self, expr: str, *, instant: bool = True) -> list[Any]:
        """The series that a query gives, at the end or over the span; its error fails the test."""
        when = {"time": self.end} if instant else {"start": self.end - SPAN, "end": self.end, "step": 60}
        asked = urllib.parse.urlencode({"query": filled(expr), **when}).encode()
        url = f"http://{self._address}/api/v1/query{'' if instant else '_range'}"
        try:
            with urllib.request.urlopen(url, asked, timeout=30) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        assert answer["status"] == "success", f"{answer.get('error')}: {filled(expr)}"
        result: list[Any] = answer["data"]["result"]
        return result

    def up(self) -> bool:
        """Whether it answers yet."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """A Prometheus on loopback with an hour of both boxes, for all tests of this file."""
    end = int(time.time()) // 60 * 60
    home = Path(tempfile.mkdtemp(prefix="grid-prometheus-"))
    (home / "boxes.txt").write_text(openmetrics(end), encoding="utf-8")
    (home / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", f"{home}/boxes.txt", f"{home}/data"]
    subprocess.run(blocks, check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        server = Prometheus(address, end)
        _wait_until_up(server, process, home / "log")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(home)


@pytest.mark.parametrize("page", PAGES)
def test_every_panel_is_answered(prometheus: Prometheus, page: str) -> None:
    """No query is wrong, and on boxes that have everything none is empty, but columns of one box."""
    empty = [
        str(target)
        for target in PRESENT
        if target.page == page
        and not (target.panel in FEWER_COLUMNS and SEVERAL in target.expr)
        and not prometheus.answer(target.expr, instant=target.instant)
    ]
    assert empty == []


def test_variables_and_annotations_are_answered(prometheus: Prometheus) -> None:
    """What a page asks besides its panels gives something too."""
    for where, expr in [*variable_queries(), *annotation_queries()]:
        assert prometheus.answer(expr), where


def test_every_start_is_an_event(prometheus: Prometheus) -> None:
    """A container that started twice in the range has two events, each at its time."""
    times = [prometheus.end - ago for ago in (3000, RESTARTED)]
    assert _events(prometheus, "Container started") == {(box, time) for box in BOXES for time in times}


def test_llm_server_that_was_down_is_an_event(prometheus: Prometheus) -> None:
    """It went down and came up, once each."""
    for event, ago in zip(("LLM server down", "LLM server up"), DOWN, strict=True):
        assert _events(prometheus, event) == {(box, prometheus.end - ago) for box in BOXES}


def _events(prometheus: Prometheus, event: str) -> set[tuple[str, float]]:
    """The boxes and Unix times of an event."""
    (happened, _) = [target.expr for target in targets() if target.panel == EVENTS]
    return {
        (series["metric"]["instance"], float(value) / 1000)
        for series in prometheus.answer(happened, instant=False)
        if series["metric"]["event"] == event
        for _, value in series["values"]
    }


def test_one_box_of_several_can_be_chosen(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one box chosen, no series of another are returned, and every query has a result."""
    for choice in ("$instance", "$shown"):
        monkeypatch.setitem(FILLED, choice, "vega")
    for target in PRESENT:
        found = prometheus.answer(target.expr)
        assert found, str(target)
        assert {series["metric"].get("instance", "vega") for series in found} == {"vega"}, str(target)


def test_stat_panels_have_one_value(prometheus: Prometheus) -> None:
    """However many boxes are chosen: Grafana would split a stat panel of several series into parts."""
    for page in ALL:
        for stat in (panel for panel in panels(page) if panel["type"] == "stat"):
            for target in stat["targets"]:
                expected = 0 if ABSENT.fullmatch(target["expr"]) else 1
                assert len(prometheus.answer(target["expr"])) == expected, stat["title"]


def test_bare_box_has_the_line_alone(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the values on a page of what the box lacks, only the line that reports so is there."""
    for choice in ("$instance", "$shown"):
        monkeypatch.setitem(FILLED, choice, BARE)
    absent = {(target.page, target.panel) for target in targets() if ABSENT.fullmatch(target.expr)}
    assert len(absent) == len(DOMAINS) - 1
    for target in targets():
        if (target.page, target.panel) in absent:
            found = prometheus.answer(target.expr)
            assert len(found) == bool(ABSENT.fullmatch(target.expr)), str(target)


def test_rows_of_a_table_fit_each_other(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's queries have the same labels, so that they join to rows; info queries bring more of them."""
    monkeypatch.setitem(FILLED, "$instance", "|".join(BOXES))
    for page in ALL:
        for table in (panel for panel in panels(page) if panel["type"] == "table"):
            queries = [target["expr"] for target in table["targets"]]
            answers = [prometheus.answer(expr) for expr in queries]
            fewer = table["title"] in FEWER_COLUMNS
            found = [
                answer
                for answer, expr in zip(answers, queries, strict=True)
                if answer or not (fewer and SEVERAL in expr)
            ]
            labels = [{frozenset(series["metric"]) - {"box", "row"} for series in answer} for answer in found]
            assert all(len(each) == 1 for each in labels), table["title"]
            by_size = sorted((next(iter(each)) for each in labels), key=len)
            assert set(by_size[:-1]) <= {by_size[0]}, table["title"]
            assert by_size[0] <= by_size[-1], table["title"]
            _every_label_is_a_column(table, set(by_size[-1]))


def test_boxes_have_all_queried_metrics() -> None:
    """The invented boxes have every metric of every query and no other."""
    exported = {line.partition("{")[0] for line in openmetrics(0).splitlines() if not line.startswith("#")}
    queried: set[str] = set().union(*(metrics(expr) for _, expr in every_query()))
    assert exported - OWN == queried


def _every_label_is_a_column(table: dict[str, Any], labels: set[str]) -> None:
    """A label that no column shows is hidden on purpose."""
    organize = organized(table)
    overrides = table["fieldConfig"]["overrides"]
    invisible = {each["matcher"]["options"] for each in overrides if "custom.hidden" in str(each)}
    known = organize["renameByName"].keys() | organize["excludeByName"].keys() | invisible
    assert labels <= known, (table["title"], labels - known)


def _wait_until_up(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not server.up():
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
