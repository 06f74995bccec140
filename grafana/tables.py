"""Tables of instant queries, worst first; only problems have colour.

On a phone a table has 350 pixels, so each has few columns, and what more there is to say of a thing stands in
a second table beside it. Where several boxes are chosen, the box is a part of a row's name, which wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import table as sdk_table
from grafana_foundation_sdk.models.common import TableCellHeight
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from grafana import sdk, value_mappings
from grafana.row_names import BOX, BOXLESS, NAME, with_name
from grafana.sdk import SEVERAL, Panel, Step, now
from grafana.value_mappings import Texts

GROUND = {"type": "color-background", "mode": "basic"}
COLOURED = {"type": "color-text"}
MOMENT = "time:MM-DD HH:mm"
# The first is the name of Grafana 11, the second that of 12 and 13.
INVISIBLE = {"custom.hidden": True, "custom.hideFrom": {"viz": True, "legend": False, "tooltip": False}}
# The first is for Grafana 11, the second for 12 and 13.
WRAPPED = {"custom.cellOptions": {"type": "auto", "wrapText": True}, "custom.wrapText": True}
FOR_LINKS = {"instance", "page", "domain", "alertname", "from", "to"}
GAUGE = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: a label of the rows, or the value of a query of its own.

    more: labels that are added to the label. short: a regular expression and what it leaves of the label.
    width: in pixels; columns without one share the rest, at least ``least`` each.
    steps: colours by value. texts: a value mapping.
    null: the mapped text of a row without a value. empty: the same without a colour.
    hidden: whether only links need it.
    one_box: whether it is left out where several boxes are chosen, to leave room for their names.
    """

    title: str
    label: str = ""
    more: tuple[str, ...] = ()
    short: tuple[str, str] = ("", "")
    promql: str = ""
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    least: int = 100
    align: str = ""
    cell: dict[str, Any] | None = None
    base: str = ""
    steps: tuple[Step, ...] = ()
    high: float | None = None
    texts: Texts | None = None
    null: str = ""
    empty: str = ""
    links: tuple[dict[str, object], ...] = ()
    hidden: bool = False
    one_box: bool = False

    def properties(self) -> dict[str, Any]:
        """How Grafana shows it."""
        shown: dict[str, Any] = {
            "unit": self.unit,
            "decimals": self.decimals,
            "custom.width": self.width,
            "custom.minWidth": None if self.width else self.least,
            "custom.align": self.align,
            "custom.cellOptions": self.cell,
            "min": 0 if self.cell is GAUGE else None,
            "max": self.high,
            "thresholds": sdk.thresholds(self.base, *self.steps).build() if self.base else None,
            "mappings": self._mappings(),
            "noValue": self.empty,
            "links": list(self.links),
        }
        shown |= INVISIBLE if self.hidden else {}
        shown |= WRAPPED if self.label and not self.cell else {}
        return {name: value for name, value in shown.items() if value not in (None, "", [])}

    def _mappings(self) -> list[Any]:
        mappings: list[Any] = [sdk.value_map(self.texts)] if self.texts else []
        return [*mappings, sdk.null_as(self.null, value_mappings.OFF)] if self.null else mappings


def text(
    title: str,
    label: str,
    *more: str,
    width: int | None = None,
    least: int = 100,
    short: tuple[str, str] = ("", ""),
) -> Column:
    """A label, with more of them behind it."""
    return Column(title=title, label=label, more=more, width=width, least=least, short=short)


def moment(title: str, promql: str, width: int = 92, *, hidden: bool = False) -> Column:
    """A time within days, from Unix milliseconds: without its year and seconds, so that phones show it."""
    return Column(title=title, promql=promql, unit=MOMENT, width=width, hidden=hidden)


def day(title: str, promql: str, width: int = 92) -> Column:
    """A date, from Unix milliseconds."""
    return Column(title=title, promql=promql, unit="time:YYYY-MM-DD", width=width)


def number(
    title: str,
    promql: str,
    unit: str = "short",
    width: int | None = None,
    *steps: Step,
    decimals: int | None = None,
    empty: str = "",
    least: int = 100,
    one_box: bool = False,
) -> Column:
    """A number, coloured from a threshold on."""
    return Column(
        title=title,
        promql=promql,
        unit=unit,
        width=width,
        least=least,
        decimals=decimals,
        empty=empty,
        cell=COLOURED if steps else None,
        base=value_mappings.PLAIN,
        steps=steps,
        one_box=one_box,
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


def text_of(title: str, promql: str, texts: Texts, width: int, *steps: Step, one_box: bool = False) -> Column:
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
        one_box=one_box,
    )


def table(
    title: str,
    description: str,
    *columns: Column,
    empty: str,
    worst_by: str | Sequence[str] = (),
    ascending: bool = False,
    labels_from: str = "",
    hidden: Sequence[str] = (),
    page_from: str = "",
    around: str = "",
    boxes: bool = True,
) -> Panel:
    """A table of instant queries, joined by the labels that they share.

    Args:
        title: the panel's.
        description: what a row is.
        columns: from left to right; the queries are aggregated to the same labels. A label that comes first
            is the rows' name.
        empty: the text where there is no row.
        worst_by: the columns that it is sorted by.
        ascending: whether the smallest comes first.
        labels_from: a query that only adds labels, such as an info series. Where just one query has a result,
            Grafana names its values otherwise and the column is lost: a table whose columns may all be empty
            but one needs it.
        hidden: labels of the queries that no column shows.
        page_from: a label with the name of a domain, whose page the rows link to.
        around: a column with a time, which the rows' links show half an hour before and after.
        boxes: whether the rows' names begin with their box where several are chosen; where rows have no name,
            the boxes are a column of their own.
    """
    name, unseen = columns[0], {*hidden}
    if boxes and name.label:
        columns = (replace(name, label=NAME), *columns[1:])
        unseen |= {BOX, BOXLESS, name.label, *name.more}
    elif boxes:
        columns = (Column(title="Box", label=BOX, least=70), *columns)
    queries = [_query(column) for column in columns if column.promql] + [labels_from] * bool(labels_from)
    sorting = [worst_by] if isinstance(worst_by, str) else worst_by
    sent = [*queries]
    if boxes:
        # Labels of which only an info series knows name its rows, and with it those of the others.
        named = slice(-1, None) if name.more else slice(None)
        sent[named] = [with_name(query, name) for query in sent[named]]
    if page_from:
        sent[0] = f'label_replace({sent[0]}, "page", "grid-$1", "{page_from}", "(.+)")'
    panel = empty_table(sorting, ascending=ascending)
    sdk.finish(panel, title, description, [sdk.rows(now(query)) for query in sent], empty)
    labels = {column.label for column in columns}
    for_links = FOR_LINKS - labels if any(column.links for column in columns) else set[str]()
    _arrange(panel, columns, queries, {*unseen, "instance", page_from} - {"", *labels}, for_links)
    if around:
        add_window(panel, around)
    show_columns(panel, columns, sorted(for_links))
    return panel


def empty_table(sorting: Sequence[str], *, ascending: bool = False) -> Panel:
    """A table without queries, sorted by some of its columns."""
    builder = (
        sdk_table.Panel()
        .cell_height(TableCellHeight.SM)
        .show_header(show_header=True)
        .color_scheme(sdk.colour(FieldColorModeId.THRESHOLDS))
        .thresholds(sdk.thresholds(value_mappings.PLAIN))
    )
    builder.sort_by(
        [common.TableSortByFieldState().display_name(name).desc(desc=not ascending) for name in sorting]
    )
    return builder.build()


def show_columns(panel: Panel, columns: Sequence[Column], for_links: Sequence[str]) -> None:
    """Shows the columns as they are described, and hides the fields that only links need."""
    # The panel's own noValue must not fill every empty cell.
    sdk.override(panel, "byRegexp", "/.*/", {"noValue": ""})
    for column in columns:
        sdk.override(panel, "byName", column.title, column.properties())
    for name in for_links:
        sdk.override(panel, "byName", name, INVISIBLE)


def _query(column: Column) -> str:
    return f"({column.promql}) unless on () ({SEVERAL})" if column.one_box else column.promql


def _arrange(
    panel: Panel,
    columns: Sequence[Column],
    queries: Sequence[str],
    hidden: set[str],
    for_links: set[str],
) -> None:
    """Joins the queries' rows and puts the columns in order, under their titles."""
    names = {column.title: column.label or _value(queries, _query(column)) for column in columns}
    kept = {*names.values(), *for_links}
    dropped = {"Time", "Value", *hidden, *(_value(queries, query) for query in queries)} - kept
    if len(queries) > 1:
        sdk.transform(panel, "merge")
    sdk.transform(
        panel,
        "organize",
        excludeByName=dict.fromkeys(sorted(dropped), True),
        indexByName={name: index for index, name in enumerate(names.values())},
        renameByName={name: title for title, name in names.items()},
    )


def add_window(panel: Panel, column: str) -> None:
    """Adds the fields from and to: half an hour before and after a column's time."""
    sdk.calculate(panel, "from", column, "-", "1800000")
    sdk.calculate(panel, "to", column, "+", "1800000")


def _value(queries: Sequence[str], promql: str) -> str:
    """Grafana's name of the column of a query's values."""
    return f"Value #{sdk.letter(queries.index(promql))}" if len(queries) > 1 else "Value"
