"""The committed dashboards, as Grafana would read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from grafana.generate import DASHBOARDS

Json = dict[str, Any]
ALL: list[Json] = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))]
EVENTS = "What changed"  # the table of a range
UIDS = [dashboard["uid"] for dashboard in ALL]

METRIC = re.compile(r"\b(?:grid[:_]\w[\w:]*|process_\w+|scrape_\w+|ALERTS(?:_FOR_STATE)?|up)\b(?!\s*\()")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
AGGREGATED_BY = re.compile(r"\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)")
ABSENT = re.compile(r"max\(grid_probe_enabled\{.*\}\) == 0")  # what only a box without such a thing has
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")

# What Grafana fills in, for a box whose scrapes are 15 s apart and a range of an hour.
FILLED = {
    "$__rate_interval": "60s",
    "$__interval_ms": "60000",
    "$__interval": "60s",
    "$__range_s": "3600",
    "$__range": "3600s",
    "$job": "grid",
    "$instance": ".+",
    "$shown": ".+",
    "$many": "instance",
    "$category": ".*",
    "$gpu": ".*",
    "$price": "0.3",
    "${who}": "",
}


class Target(NamedTuple):
    """A query where it stands."""

    page: str
    panel: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.page} / {self.panel}: {self.expr}"


def panels(dashboard: Json) -> list[Json]:
    """A page's panels, those that are folded away too, without the headings."""
    every = [each for panel in dashboard["panels"] for each in (panel, *panel.get("panels", []))]
    return [panel for panel in every if panel["type"] != "row"]


def organized(table: Json) -> Json:
    """The options that arrange a table's columns."""
    *_, step = [each for each in table["transformations"] if each["id"] == "organize"]
    return dict(step["options"])


def targets() -> Iterator[Target]:
    """Every query of every panel."""
    for dashboard in ALL:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Target(dashboard["uid"], panel["title"], target["expr"], target["instant"])


def variable_queries() -> Iterator[tuple[str, str]]:
    """The PromQL inside every variable's query, by the variable's name."""
    for dashboard in ALL:
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                function, inside = variable["query"]["query"].split("(", 1)
                inside = inside.removesuffix(")")
                expr = inside if function == "query_result" else inside.rpartition(",")[0]
                yield f"{dashboard['uid']} ${variable['name']}", expr


def annotation_queries() -> Iterator[tuple[str, str]]:
    """Every annotation's query, by its name."""
    for dashboard in ALL:
        for annotation in dashboard["annotations"]["list"]:
            yield f"{dashboard['uid']} {annotation['name']}", annotation["expr"]


def every_query() -> list[tuple[str, str]]:
    """All PromQL that a page makes Grafana send: panels', variables' and annotations'."""
    return [
        *((f"{target.page} / {target.panel}", target.expr) for target in targets()),
        *variable_queries(),
        *annotation_queries(),
    ]


def filled(expr: str) -> str:
    """A query as Grafana sends it."""
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    return expr


def metrics(expr: str) -> set[str]:
    """The names of the metrics in a query."""
    return set(METRIC.findall(AGGREGATED_BY.sub("", STRING.sub("", expr))))
