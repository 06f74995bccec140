"""A table of events over the chosen range: a row each time that something happened."""

from __future__ import annotations

from grafana import sdk, value_mappings
from grafana.links import to_moment
from grafana.row_names import BOX, NAME, after_box
from grafana.sdk import Panel, over_time
from grafana.tables import MOMENT, Column, add_window, empty_table, show_columns
from prometheus.health import CHOSEN

COLUMNS = (
    Column(title="When", unit=MOMENT, width=92),
    Column(title="Event", label="event", least=93, links=(to_moment(),)),
    Column(title="What", label=NAME, least=93, links=(to_moment(),)),
    Column(title="Lasted", unit="ms", decimals=0, width=72, null=value_mappings.NO_VALUE),
)
TIMES = ("Value", "Value #A", "Value #B")  # the first where only one query has a result
LABELS = (NAME, "instance", "event", "page")
FOR_LINKS = ("instance", "page", "from", "to")


def events_table(title: str, description: str, *, happened: str, lasting: str, empty: str) -> Panel:
    """A row an event, newest first; each opens its page at that time.

    Both queries give Unix milliseconds with the labels instance, event, what and page, at every step of the
    range at which they are known; equal ones are one event.

    Args:
        title: the panel's.
        description: what a row is.
        happened: PromQL of the times of events.
        lasting: PromQL of the times since when something lasts, while it does.
        empty: the text where nothing happened.
    """
    panel = empty_table(["When"])
    queries = [
        sdk.rows(over_time(after_box(promql, "what", NAME), boxes=CHOSEN)) for promql in (happened, lasting)
    ]
    sdk.finish(panel, title, description, queries, empty)
    panel.max_data_points = sdk.TIMELINE_POINTS
    # Without their times, the first query's events last for nothing.
    sdk.transform(panel, "organize", of="A", excludeByName={"Time": True}, indexByName={}, renameByName={})
    groups = {name: {"operation": "groupby", "aggregations": []} for name in (*TIMES, *LABELS)}
    last = {"Time": {"operation": "aggregate", "aggregations": ["max"]}}
    sdk.transform(panel, "groupBy", fields=groups | last)
    sdk.transform(panel, "merge")
    either = {"reducer": "max", "include": list(TIMES)}
    sdk.transform(panel, "calculateField", mode="reduceRow", alias="When", reduce=either)
    sdk.calculate(panel, "Lasted", "Time (max)", "-", "When")
    sdk.transform(
        panel,
        "organize",
        excludeByName=dict.fromkeys((*TIMES, "Time (max)", BOX, "what"), True),
        indexByName={column.label or column.title: place for place, column in enumerate(COLUMNS)},
        renameByName={column.label or column.title: column.title for column in COLUMNS},
    )
    add_window(panel, "When")
    show_columns(panel, COLUMNS, FOR_LINKS)
    return panel
