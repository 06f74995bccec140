"""Every alert is tried by promtool: it fires, but not for a near value, resolves, and survives a restart.

The boxes in prometheus/tests/*.yml are named after what becomes of them: no alert may lack one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.prometheus.promtool import TESTS, alert_rules, errors_of, groups_of, load, needs_promtool

BOXES = ("fires", "near", "mends", "restarts", "bare")
# About no box: the one has none left, the other always fires.
WITHOUT_BOXES = {"GridExporterAbsent", "GridWatchdog"}


def everything(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every such entry of every test group, with the alert that the group is about."""
    for path in TESTS:
        for alert, groups in groups_of(path).items():
            yield from ((alert, entry) for group in groups for entry in group.get(kind, []))


def firing_at(alert: str) -> list[tuple[float, set[str]]]:
    """The moments at which the alert's groups name the boxes that it fires for: minutes and boxes."""
    found = []
    for name, entry in everything("promql_expr_test"):
        if name == alert:
            samples = " ".join(sample["labels"] for sample in entry["exp_samples"])
            found.append((minutes(entry["eval_time"]), set(re.findall(r'instance="([^"]*)"', samples))))
    return found


def minutes(duration: str) -> float:
    """A duration of a test file (90m, 1h30m) in minutes."""
    lengths = {"h": 60.0, "m": 1.0, "s": 1 / 60}
    return sum(float(count) * lengths[unit] for count, unit in re.findall(r"(\d+)([hms])", duration))


def boxes(alert: str) -> dict[str, list[str]]:
    """The alert's boxes and the values of their series."""
    found: dict[str, list[str]] = {}
    for name, entry in everything("input_series"):
        if name == alert:
            instance = re.search(r'instance="([^"]*)"', entry["series"])
            assert instance, f"{alert}: {entry['series']} has no instance"
            found.setdefault(instance[1], []).append(entry["values"])
    return found


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_passes_the_tests(path: Path) -> None:
    """The committed rules do what the committed tests say."""
    if text := errors_of("promtool", "test", "rules", path):
        pytest.fail(text)


def test_every_alert_has_its_tests_and_every_test_its_alert() -> None:
    """No alert without tests, and no tests left over from one that is gone."""
    tested = {alert for path in TESTS if path.stem != "recording" for alert in groups_of(path)}
    assert tested == set(alert_rules())


@pytest.mark.parametrize("alert", alert_rules())
def test_an_alert_fires_with_its_annotations(alert: str) -> None:
    """A test holds the alert's labels and annotations, and that it did not fire before its time."""
    entries = [entry for name, entry in everything("alert_rule_test") if name == entry["alertname"] == alert]
    full = [entry for entry in entries if entry["exp_alerts"]]
    assert full
    assert all(expected["exp_annotations"]["summary"] for entry in full for expected in entry["exp_alerts"])
    quiet = [minutes(entry["eval_time"]) for entry in entries if not entry["exp_alerts"]]
    waits = "for" in alert_rules()[alert]
    assert not waits or min(quiet) < min(minutes(entry["eval_time"]) for entry in full)


@pytest.mark.parametrize("alert", sorted(set(alert_rules()) - WITHOUT_BOXES))
def test_an_alert_has_every_kind_of_box(alert: str) -> None:
    """One fires, one comes near, one mends, one restarts and is then gone, one lacks the thing."""
    seen = boxes(alert)
    assert set(BOXES) <= set(seen)
    assert any("stale" in values for values in seen["restarts"])
    moments = sorted(firing_at(alert))
    firing = set().union(*(names for _, names in moments))
    assert {"fires", "mends", "restarts"} <= firing
    assert not {name for name in firing if name.startswith(("near", "bare"))}
    for box in ("mends", "restarts"):
        states = [box in names for _, names in moments]
        assert not states[-1], f"{box} never resolves"


def test_the_alert_of_all_boxes_fires_and_resolves() -> None:
    """GridExporterAbsent does not fire while a box is there, and does after the last is gone."""
    samples = [
        entry["exp_samples"] for name, entry in everything("promql_expr_test") if name == "GridExporterAbsent"
    ]
    assert [bool(expected) for expected in samples] == [False, False, False, True]


def test_expressions_ask_for_the_alert_that_the_group_is_named_after() -> None:
    """A copied group that still asks for another alert would prove nothing."""
    for alert, entry in everything("promql_expr_test"):
        if alert in alert_rules():
            assert f'alertname="{alert}"' in entry["expr"]


def test_series_are_those_of_several_jobs() -> None:
    """The alerts hold for more than one job of ours at once."""
    series = " ".join(
        entry["series"] for path in TESTS for group in load(path)["tests"] for entry in group["input_series"]
    )
    assert {'job="grid"', 'job="grid-lab"', 'job="node"'} <= set(re.findall(r'job="[^"]*"', series))
