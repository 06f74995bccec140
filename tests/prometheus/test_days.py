"""Which alerts fire on days of one box: few in an ordinary week, each problem's in time and once."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.prometheus.promtool import FOLDER, needs_promtool
from tests.prometheus.situations import CAUSES, EVERYTHING, PROBLEMS, START, WEEK, fired
from tests.prometheus.timeline import Firing

pytestmark = pytest.mark.timeout(1800)
ROW = re.compile(r"^\| (.+?) \|(?: \d+ \|){3} (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def firing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Firing]]:
    """What fires in each situation, and when."""
    return fired(tmp_path_factory.mktemp("days"))


@needs_promtool
@pytest.mark.parametrize("name", EVERYTHING)
def test_a_day_fires_its_alerts_and_no_others(firing: dict[str, list[Firing]], name: str) -> None:
    """Each as often as it should."""
    assert Counter(alert.name for alert in firing[name]) == EVERYTHING[name].alerts


@needs_promtool
def test_an_ordinary_week_has_no_critical_alert_and_few_warnings(firing: dict[str, list[Firing]]) -> None:
    """A download, a reboot and two busy cards are information; of the upgrades the first is a warning."""
    severities = Counter(alert.labels["severity"] for alert in firing[WEEK])
    assert severities["critical"] == 0
    assert severities["warning"] <= 3


@needs_promtool
@pytest.mark.parametrize("name", [*PROBLEMS, *CAUSES])
def test_a_problem_fires_in_time(firing: dict[str, list[Firing]], name: str) -> None:
    """The first of its alerts, and nothing before the problem is there."""
    problem, alerts = EVERYTHING[name], firing[name]
    first = next(alert.start for alert in alerts if alert.name == next(iter(problem.alerts)))
    assert min(alert.start for alert in alerts) >= START
    assert first <= START + problem.within


def test_the_documents_state_how_many_messages_come() -> None:
    """docs/alerts.md has a row for each situation, with its numbers of today."""
    text = (FOLDER.parent / "docs" / "alerts.md").read_text("utf-8")
    rows = {name: tuple(map(int, counts)) for name, *counts in ROW.findall(text)}
    expected = {}
    for name in EVERYTHING.keys() - CAUSES.keys():
        priorities = Counter(message.split()[0] for message in EVERYTHING[name].messages)
        expected[name] = tuple(priorities[kind] for kind in ("urgent", "default", "low", "mail"))
    assert rows == expected
