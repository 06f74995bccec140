"""The dashboards query metrics and labels that the exporter declares, and leave out few."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from msgspec import Struct

import exporter
from exporter.metrics.families import Family
from prometheus import recording
from prometheus.generate import files
from tests.grafana.dashboards import SELECTOR, every_query, metrics

# What Prometheus records of a target, and the metrics of every process.
FOREIGN = {
    "up": set[str](),
    "scrape_duration_seconds": set[str](),
    "scrape_samples_scraped": set[str](),
    "scrape_series_added": set[str](),
    "process_cpu_seconds_total": {"command"},
    "process_resident_memory_bytes": {"command"},
    "process_start_time_seconds": {"command"},
    "ALERTS": {"alertname", "alertstate", "severity", "domain"},
    "ALERTS_FOR_STATE": {"alertname", "severity", "domain"},
    recording.HEALTH: {"domain"},
    recording.PROBLEM: {"domain", "reason"},
    **{name: {"vendor"} for name in recording.AGGREGATES},
}

# What stands neither on a panel nor in a rule, and why.
UNSHOWN = {
    "grid_exporter_orphaned_processes": "Rare, and the log names them.",
    "grid_filesystem_free_bytes": "What is available to everyone is more useful.",
    "grid_gpu_memory_free_bytes": "It is what is not used of the total, which is shown.",
    "grid_gpu_memory_reserved_bytes": "It is the driver's own and never changes.",
    "grid_gpu_processes": "The table of processes shows them one by one.",
}


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """Every family that the exporter can emit, and its labels."""
    found: dict[str, set[str]] = {}
    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not module.name.endswith("__main__"):
            for family in _families(vars(importlib.import_module(module.name))):
                found.setdefault(family.name, set()).update(family.labels)
    return found


def test_every_metric_is_declared(declared: dict[str, set[str]]) -> None:
    """A query for a name that is not exported would stay empty for ever."""
    known = declared | FOREIGN
    for where, expr in every_query():
        assert _families_of(expr) - known.keys() == set(), where


def test_every_matcher_names_a_label_of_its_metric(declared: dict[str, set[str]]) -> None:
    """A matcher on a label that a metric does not have matches nothing, or everything."""
    known = declared | FOREIGN
    for where, expr in every_query():
        for metric, matchers in SELECTOR.findall(expr):
            labels = set(re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', "", matchers)))
            assert labels - {"job", "instance"} <= known[_family(metric)], (where, metric)


def test_every_metric_is_on_a_panel_or_in_a_rule(declared: dict[str, set[str]]) -> None:
    """Nothing that is exported is unseen; what is left out has its reason."""
    queried: set[str] = set().union(*(_families_of(expr) for _, expr in every_query()))
    for file in files().values():
        queried |= _families_of(file)
    unseen = declared.keys() - queried
    assert unseen == UNSHOWN.keys()


def _families_of(text: str) -> set[str]:
    """The families that a text names: a summary by its own name, not by those of its parts."""
    return {_family(name) for name in metrics(text)}


def _family(name: str) -> str:
    return re.sub(r"(_seconds)_(?:sum|count)$", r"\1", name)


def _families(value: object, depth: int = 0) -> Iterator[Family]:
    """The families in a module's constants, however they are kept."""
    if isinstance(value, Family):
        yield value
    elif depth < 4 and isinstance(value, dict):
        for item in list(value.values()):
            yield from _families(item, depth + 1)
    elif depth < 4 and isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from _families(item, depth + 1)
    elif depth < 4 and isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _families(getattr(value, name, None), depth + 1)
    elif depth < 4 and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _families(getattr(value, field.name, None), depth + 1)
