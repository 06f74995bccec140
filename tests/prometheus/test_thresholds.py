"""Every threshold is held from both sides: moved up or down past a near case, some alert's test fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prometheus import thresholds
from prometheus.alert import Alert
from prometheus.alerts import alerts
from tests.prometheus.promtool import FOLDER, TESTS, groups_of, load, needs_promtool, run

Rules = dict[str, dict[str, Any]]
NUMBERS = {name: value for name, value in vars(thresholds).items() if name.isupper()}
SLOW = FOLDER / "tests" / "slow.yml"  # its alerts are looked at every 5 minutes, the others every minute
FEW = 10  # a count below it moves by one, everything else by a fifth


def moved(value: float) -> tuple[float, float]:
    """A little less and a little more."""
    if isinstance(value, int) and value < FEW:
        return value - 1, value + 1
    return type(value)(value * 0.8), type(value)(value * 1.2)


def rules(alerts: Iterator[tuple[str, Alert]]) -> Rules:
    """The rules by their alerts' names."""
    return {alert.name: alert.rule(domain) for domain, alert in alerts}


def everything() -> Iterator[tuple[str, Alert]]:
    """Every alert with its domain."""
    yield from ((domain, alert) for domain, group in alerts().items() for alert in group)


def passes(folder: Path, name: str, mutants: Rules) -> bool:
    """Whether the tests of these alerts pass with these rules."""
    rule_file = folder / f"{name}-rules.yml"  # JSON is YAML, and quicker to write
    rule_file.write_text(json.dumps({"groups": [{"name": name, "rules": list(mutants.values())}]}))
    for path in TESTS:
        chosen = [group for alert, groups in groups_of(path).items() if alert in mutants for group in groups]
        if not chosen:
            continue
        test_file = folder / f"{name}-{path.name}"
        test_file.write_text(json.dumps({**load(path), "rule_files": [str(rule_file)], "tests": chosen}))
        if run("promtool", "test", "rules", test_file).returncode:
            return False
    return True


def survivors(folder: Path, mutants: dict[str, Rules]) -> list[str]:
    """The mutants whose tests pass all the same."""
    with ThreadPoolExecutor(2) as pool:
        passed = pool.map(lambda item: passes(folder, *item), mutants.items())
        return [name for name, survived in zip(mutants, passed, strict=True) if survived]


@needs_promtool
def test_a_threshold_that_moves_fails_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number that an alert reads is pinned from both sides; what none reads is a dashboard's."""
    mutants: dict[str, Rules] = {}
    unread = set()
    before = rules(everything())
    for name, value in NUMBERS.items():
        for number in moved(value):
            with monkeypatch.context() as patch:
                patch.setattr(thresholds, name, number)
                changed = {
                    alert: rule for alert, rule in rules(everything()).items() if rule != before[alert]
                }
            if changed:
                mutants[f"{name}={number}"] = changed
            else:
                unread.add(name)
    assert survivors(tmp_path, mutants) == []
    pages = "".join(path.read_text() for path in (FOLDER.parent / "grafana").rglob("*.py"))
    assert [name for name in unread if name not in pages] == []


@needs_promtool
def test_a_wait_that_changes_fails_a_test(tmp_path: Path) -> None:
    """Each alert fires when it has waited as long as its rule says, not before and not after."""
    mutants: dict[str, Rules] = {}
    slow = groups_of(SLOW)
    for domain, alert in everything():
        step = 600 if alert.name in slow else 60
        for wait in {max(0, alert.wait - step), alert.wait + step} - {alert.wait}:
            mutants[f"{alert.name}-{wait}"] = rules(iter([(domain, replace(alert, wait=wait))]))
        for keep in {int(alert.keep * 0.8), int(alert.keep * 1.2)} - {0}:
            mutants[f"{alert.name}-keeps-{keep}"] = rules(iter([(domain, replace(alert, keep=keep))]))
    assert survivors(tmp_path, mutants) == []
