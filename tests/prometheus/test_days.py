"""Which alerts fire on days of one box: few in an ordinary week, each problem's in time and once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.prometheus.promtool import needs_promtool
from tests.prometheus.situations import CAUSES, EVERYTHING, PROBLEMS, START, WEEK, fired
from tests.prometheus.timeline import Firing

pytestmark = [needs_promtool, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def firing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Firing]]:
    """What fires in each situation, and when."""
    return fired(tmp_path_factory.mktemp("days"))


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_day_fires_its_alerts_and_no_others(firing: dict[str, list[Firing]], name: str) -> None:
    """Each as often as it should."""
    assert Counter(alert.name for alert in firing[name]) == EVERYTHING[name].alerts


def test_an_ordinary_week_has_no_critical_alert_and_few_warnings(firing: dict[str, list[Firing]]) -> None:
    """A download, a reboot and two busy cards are information; of the upgrades the first is a warning."""
    severities = Counter(alert.labels["severity"] for alert in firing[WEEK])
    assert severities["critical"] == 0
    assert severities["warning"] <= 3


@pytest.mark.parametrize("name", [*PROBLEMS, *CAUSES])
def test_a_problem_fires_in_time(firing: dict[str, list[Firing]], name: str) -> None:
    """The first of its alerts, and nothing before the problem is there."""
    problem, alerts = EVERYTHING[name], firing[name]
    first = next(alert.start for alert in alerts if alert.name == next(iter(problem.alerts)))
    assert min(alert.start for alert in alerts) >= START
    assert first <= START + problem.within
