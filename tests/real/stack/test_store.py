"""A long-term store that Prometheus writes to answers the same dashboards."""

from __future__ import annotations

import pytest

from tests.grafana.dashboards import targets
from tests.real.stack.observatory import Observatory, ask
from tests.real.stack.test_dashboards import filled
from tests.real.stack.timeline import Timeline

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "victoria-metrics", "mount", "umount"),
    pytest.mark.timeout(300),
]
PANELS = list(targets())
PAGES = sorted({target.page for target in PANELS})


def labels(answer: list[dict[str, dict[str, str]]]) -> set[frozenset[tuple[str, str]]]:
    """The series of an answer, by their labels alone; an empty one is none."""
    return {
        frozenset((name, value) for name, value in series["metric"].items() if value) for series in answer
    }


@pytest.mark.parametrize("page", PAGES)
def test_store_answers_as_prometheus_does(seen: Observatory, times: Timeline, page: str) -> None:
    """VictoriaMetrics, by remote_write, gives every query of every page the series that Prometheus gives."""
    store = seen.store
    assert store is not None
    last = f'up{{job="grid"}} @ {times.repaired:.3f}'
    assert seen.wait(lambda: ask(store.url, "query", query=last, time=times.repaired))
    for target in (target for target in PANELS if target.page == page):
        query = filled(target.expr)
        for moment in (times.healthy, times.broken):
            theirs = ask(store.url, "query", query=query, time=moment)
            assert labels(theirs) == labels(seen.query(query, moment)), str(target)
