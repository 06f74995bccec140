"""Tables of instant queries, worst first; only problems have colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import table as sdk_table
from grafana_foundation_sdk.models.common import TableCellHeight
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from grafana import sdk, value_mappings
from grafana.sdk import Panel, Step, now
from grafana.value_mappings import Texts

GROUND = {"type": "color-background", "mode": "basic"}
COLOURED = {"type": "color-text"}
GAUGE = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: a label of the rows, or the value of a query of its own.

    width: in pixels; columns without one share the rest. steps: colours by value. texts: a value mapping.
    null: the mapped text of a row without a value. empty: the same without a colour.
    """

    title: str
    label: str = ""
    promql: str = ""
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    align: str = ""
    cell: dict[str, Any] | None = None
    base: str = ""
    steps: tuple[Step, ...] = ()
    high: float | None = None
    texts: Texts | None = None
    null: str = ""
    empty: str = ""
    links: tuple[dict[str, object], ...] = ()

    def properties(self) -> dict[str, Any]:
        """How Grafana shows it."""
        shown: dict[str, Any] = {
            "unit": self.unit,
            "decimals": self.decimals,
            "custom.width": self.width,
            "custom.align": self.align,
            "custom.cellOptions": self.cell,
            "min": 0 if self.cell is GAUGE else None,
            "max": self.high,
            "thresholds": sdk.thresholds(self.base, *self.steps).build() if self.base else None,
            "mappings": self._mappings(),
            "noValue": self.empty,
            "links": list(self.links),
        }
        return {name: value for name, value in shown.items() if value not in (None, "", [])}

    def _mappings(self) -> list[Any]:
        mappings: list[Any] = [sdk.value_map(self.texts)] if self.texts else []
        return [*mappings, sdk.null_as(self.null, value_mappings.OFF)] if self.null else mappings


def text(title: str, label: str, width: int | None = None) -> Column:
    """A label."""
    return Column(title=title, label=label, width=width)


def number(
    title: str,
    promql: str,
    unit: str = "short",
    width: int | None = None,
    *steps: Step,
    decimals: int | None = None,
    empty: str = "",
) -> Column:
    """A number, coloured from a threshold on."""
    return Column(
        title=title,
        promql=promql,
        unit=unit,
        width=width,
        decimals=decimals,
        empty=empty,
        cell=COLOURED if steps else None,
        base=value_mappings.PLAIN,
        steps=steps,
    )


def share(
    title: str, promql: str, *steps: Step, width: int | None = None, decimals: int = 0, empty: str = ""
) -> Column:
    """A share of a whole as a gauge with its value."""
    return Column(
        title=title,
        promql=promql,
        unit="percentunit",
        decimals=decimals,
        width=width,
        cell=GAUGE,
        base=value_mappings.NEUTRAL,
        steps=steps,
        high=1,
        empty=empty,
    )


def state(title: str, promql: str, texts: Texts, width: int) -> Column:
    """A state as text on its colour."""
    return Column(title=title, promql=promql, unit="short", width=width, cell=GROUND, texts=texts)


def text_of(title: str, promql: str, texts: Texts, width: int, *steps: Step) -> Column:
    """A value as coloured text."""
    return Column(
        title=title,
        promql=promql,
        unit="short",
        width=width,
        cell=COLOURED,
        base=value_mappings.PLAIN,
        steps=steps,
        texts=texts,
    )


def table(
    title: str,
    description: str,
    *columns: Column,
    empty: str,
    worst_by: str = "",
    ascending: bool = False,
    labels_from: str = "",
    hidden: Sequence[str] = (),
) -> Panel:
    """A table of instant queries, joined by the labels that they share.

    Args:
        title: the panel's.
        description: what a row is.
        columns: from left to right; the queries are aggregated to the same labels.
        empty: the text where there is no row.
        worst_by: the column that it is sorted by.
        ascending: whether the smallest comes first.
        labels_from: a query that only brings labels, such as an info series.
        hidden: labels of the queries that no column shows.
    """
    queries = [column.promql for column in columns if column.promql] + [labels_from] * bool(labels_from)
    builder = (
        sdk_table.Panel()
        .cell_height(TableCellHeight.SM)
        .show_header(show_header=True)
        .color_scheme(sdk.colour(FieldColorModeId.THRESHOLDS))
        .thresholds(sdk.thresholds(value_mappings.PLAIN))
    )
    if worst_by:
        builder.sort_by([common.TableSortByFieldState().display_name(worst_by).desc(desc=not ascending)])
    panel = sdk.finish(
        builder.build(), title, description, [sdk.rows(now(query)) for query in queries], empty
    )
    _arrange(panel, columns, queries, hidden)
    # The panel's own noValue must not fill every empty cell.
    sdk.override(panel, "byRegexp", "/.*/", {"noValue": ""})
    for column in columns:
        sdk.override(panel, "byName", column.title, column.properties())
    return panel


def _arrange(panel: Panel, columns: Sequence[Column], queries: Sequence[str], hidden: Sequence[str]) -> None:
    """Joins the queries' rows and puts the columns in order, under their titles."""
    names = {column.title: column.label or _value(queries, column.promql) for column in columns}
    shown = set(names.values())
    dropped = {"Time", "Value", *hidden, *(_value(queries, query) for query in queries)} - shown
    if len(queries) > 1:
        sdk.transform(panel, "merge")
    sdk.transform(
        panel,
        "organize",
        excludeByName=dict.fromkeys(sorted(dropped), True),
        indexByName={name: index for index, name in enumerate(names.values())},
        renameByName={name: title for title, name in names.items()},
    )


def _value(queries: Sequence[str], promql: str) -> str:
    """What Grafana calls the column of a query's values."""
    return f"Value #{sdk.letter(queries.index(promql))}" if len(queries) > 1 else "Value"
