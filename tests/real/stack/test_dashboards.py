"""Every query of every dashboard, answered by a real Prometheus about a box that is OK, and then is not.

The clock of the box is frozen. What differs between two moments at which it is OK always varies (an age, a
process); everything else must change when the box is broken.
"""

from __future__ import annotations

import re

import pytest

from prometheus.health import DOMAINS, health
from tests.grafana.dashboards import FILLED, Target, annotation_queries, targets, variable_queries
from tests.real.stack import hurry
from tests.real.stack.observatory import Observatory
from tests.real.stack.timeline import RANGE, WINDOW, Timeline

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "mount", "umount"),
    pytest.mark.timeout(300),
]
# What Grafana fills in for a box that is scraped every second.
QUICK = FILLED | {"$__rate_interval": "10s", "$__range_s": f"{RANGE}", "$__range": f"{RANGE}s"}

ONE_BOX = "label_replace(count(count by (instance) (up"
# Rightly empty on a box that is OK, and why: parts of a query or of its place.
EMPTY = {
    'alertstate="firing"': "no alert fires",
    "/ Runs that failed:": "none failed",
    "-1 * deriv(": "no file system fills up",
    "/ Problems:": "no box has a problem",
    "/ Worst state over time:": "every box was OK",
    "grid_tor_exit_changed_timestamp_seconds": "the exit has not changed yet",
    ONE_BOX: "there is one box",
}
# Parts of queries that have results all the same.
NOT_EMPTY = ("* 0 - 2",)
# What no fault of a box changes, and what it is.
CONSTANT = {
    "grid_exporter_build_info": "the exporter's version",
    "grid_probe_ttl_seconds": "the configuration",
    "count(up{": "how many boxes there are",
    "grid_filesystem_size_bytes{": "how large a file system is",
    "/ Last check:": "failed checks, which this box has none of",
    "/ Acceptance and database:": "acceptances, which this box has none of",
    "/ Now: max(grid_gpu_memory_used_bytes{": "how full the fullest GPU is",
    "/ Versions:": "versions",
    "/ Ages: max by (instance) (grid_watchtower_up{": "a Watchtower that runs",
    "/ Memory: (grid_memory_buffers_bytes{": "the file cache",
    "/ Memory: grid_memory_total_bytes{": "how much memory there is",
    "max by (instance) (grid_gpu_power_limit_watts": "the highest power limit",
    "/ Memory of the models:": "how much of the cards that work its servers hold",
    "/ Memory by model:": "the same, by model",
    "/ All boxes: sum(grid:gpu_memory_used_bytes:sum{": "how full the GPUs are",
    "/ Use of boxes: max by (job, instance) (up{": "boxes that answer",
    'instance=~"$instance", category=~"$category"} == 1)': "which services there are",
    "process_resident_memory_bytes{": "the exporter's own memory, which a broken box need not change",
}
# What the box of this test does not have, or only at times.
LACKING = re.compile(
    r"/ Off:|max\(grid_probe_enabled\{|/ What changed:|grid_llm_|vendor=\"(?:amd|intel)\""
    r"|grid_gpu_(?:gtt|mig|encoder|decoder|asleep|remapped|retired|recovery|throttle_seconds|energy|xid|temperature_margin"
    r"|clock_max|power_(?:default|max)|pcie_link_\w+_max)"
)
PANELS = [target for target in targets() if not LACKING.search(str(target))]
PAGES = sorted({target.page for target in PANELS})

Vectors = set[frozenset[tuple[str, str]]]


def expected_empty(where: str) -> bool:
    """Whether a query is rightly empty on a healthy box."""
    return any(part in where for part in EMPTY) and not any(part in where for part in NOT_EMPTY)


def filled(expr: str) -> str:
    """A query as Grafana would send it."""
    for name, value in QUICK.items():
        expr = expr.replace(name, value)
    # A forecast needs an hour, and cards are remembered for weeks; everything here happens within minutes.
    expr = expr.replace("offset 3600s", "offset 10s").replace("[1209600s:", "[3600s:")
    return hurry.subqueries(expr)


def vectors(seen: Observatory, expr: str, since: float, until: float) -> Vectors:
    """What a query gave in each second of a time, seconds in which it gave nothing left out."""
    moments: dict[float, set[tuple[str, str]]] = {}
    for series in seen.window(filled(expr), since, until):
        for moment, value in series["values"]:
            moments.setdefault(moment, set()).add((str(sorted(series["metric"].items())), value))
    return {frozenset(values) for values in moments.values()}


def healthy(seen: Observatory, times: Timeline, expr: str) -> Vectors:
    return vectors(seen, expr, times.healthy - WINDOW, times.healthy)


def broken(seen: Observatory, times: Timeline, expr: str) -> Vectors:
    return vectors(seen, expr, times.begun, times.broken)


@pytest.mark.parametrize("page", PAGES)
def test_no_query_is_empty(seen: Observatory, times: Timeline, page: str) -> None:
    """On a box that is OK no panel is empty, but for those where that is the good news."""
    for target in (target for target in PANELS if target.page == page):
        found = healthy(seen, times, target.expr)
        assert bool(found) != expected_empty(str(target)), str(target)


def test_empty_queries_have_results_when_the_box_is_broken(seen: Observatory, times: Timeline) -> None:
    """What is empty on a box that is OK is not on one that is broken."""
    for target in PANELS:
        assert not expected_empty(str(target)) or broken(seen, times, target.expr), str(target)


def changes(seen: Observatory, times: Timeline, target: Target) -> bool:
    """Whether a query's results changed when the box was broken."""
    before = healthy(seen, times, target.expr)
    varies = before != vectors(seen, target.expr, times.still_healthy - WINDOW, times.still_healthy)
    end = vectors(seen, target.expr, times.broken - 1, times.broken)
    return varies or end != before or not broken(seen, times, target.expr) <= before


@pytest.mark.parametrize("page", PAGES)
def test_values_change_when_the_box_is_broken(seen: Observatory, times: Timeline, page: str) -> None:
    """No query returns the same for a broken box as for a healthy one."""
    unchanged = [str(target) for target in PANELS if target.page == page and not changes(seen, times, target)]
    assert [query for query in unchanged if not any(part in query for part in CONSTANT)] == []


def test_variables_and_annotations_are_answered(seen: Observatory, times: Timeline) -> None:
    """What a page asks besides its panels is answered too."""
    asked = [*variable_queries(), *annotation_queries()]
    for where, expr in (each for each in asked if 'domain=~"llm"' not in each[1]):
        assert bool(healthy(seen, times, expr)) != expected_empty(expr), where
        assert broken(seen, times, expr) or ONE_BOX in expr, where


def test_box_that_does_not_answer_is_shown_as_down(seen: Observatory, times: Timeline) -> None:
    """While it does not answer, the exporter's domain is down, and no other part; Fleet counts it."""
    for domain in DOMAINS:
        codes = {series["value"][1] for series in seen.query(filled(health(domain.name)), times.down)}
        assert codes == ({"50"} if domain.name == "exporter" else set()), domain.name
    recorded = seen.query("grid:health:code == 50", times.down)
    assert [series["metric"]["domain"] for series in recorded] == ["exporter"]
    (down,) = (
        target.expr for target in PANELS if target.expr.startswith("count(up{") and "- sum(up" in target.expr
    )
    assert [series["value"][1] for series in seen.query(filled(down), times.down)] == ["1"]
