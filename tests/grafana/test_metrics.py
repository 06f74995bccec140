"""The dashboards query metrics and labels that the exporter declares, and leave out few."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import exporter
from exporter.metrics.families import Family
from prometheus import recording
from tests.grafana.dashboards import SELECTOR, every_query, metrics

# What Prometheus records of a target, and the metrics of every process.
FOREIGN = {
    "up": set[str](),
    "scrape_duration_seconds": set[str](),
    "scrape_samples_scraped": set[str](),
    "scrape_series_added": set[str](),
    "process_cpu_seconds_total": {"command"},
    "process_resident_memory_bytes": {"command"},
    "ALERTS": {"alertname", "alertstate", "severity", "domain"},
    "ALERTS_FOR_STATE": {"alertname", "severity", "domain"},
    recording.HEALTH: {"domain"},
    **{name: set[str]() for name in recording.AGGREGATES},
}
# What no panel shows, and why that is enough.
UNSHOWN = {
    "grid_memory_free_bytes": "What is available is more useful.",
    "grid_memory_buffers_bytes": "What is available is more useful.",
    "grid_memory_cached_bytes": "What is available is more useful.",
    "grid_filesystem_free_bytes": "What is available to everyone is more useful.",
    "grid_gpu_memory_utilization_ratio": "How busy the memory's bus is adds little to utilization.",
    "grid_gpu_memory_free_bytes": "What is in use and what there is show it.",
    "grid_gpu_memory_reserved_bytes": "It is the driver's own and never changes.",
    "grid_gpu_processes": "The table of processes shows them one by one.",
    "grid_tor_info": "Tor's version is read once a year.",
    "grid_container_created_timestamp_seconds": "Since when it runs is more useful.",
    "grid_watchtower_up": "An alert fires when it is down; the containers that it leaves alone are shown.",
    "grid_aide_database_timestamp_seconds": "When findings were accepted is shown, the rest has an alert.",
    "grid_aide_accept_success": "A failed acceptance leaves the findings where they are, which is shown.",
    "grid_exporter_config_last_reload_success_timestamp_seconds": "Whether it failed is what matters.",
    "grid_exporter_orphaned_processes": "Rare, and the log names them.",
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
        assert metrics(expr) <= known.keys(), where


def test_every_matcher_names_a_label_of_its_metric(declared: dict[str, set[str]]) -> None:
    """A matcher on a label that a metric does not have matches nothing, or everything."""
    known = declared | FOREIGN
    for where, expr in every_query():
        for metric, matchers in SELECTOR.findall(expr):
            labels = set(re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', "", matchers)))
            assert labels - {"job", "instance"} <= known[metric], (where, metric)


def test_what_is_not_shown_has_a_reason(declared: dict[str, set[str]]) -> None:
    """A metric that no panel shows is left out on purpose."""
    asked: set[str] = set().union(*(metrics(expr) for _, expr in every_query()))
    assert declared.keys() - asked == UNSHOWN.keys()


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
    elif depth < 4 and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _families(getattr(value, field.name, None), depth + 1)
