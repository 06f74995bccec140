"""The names of a table's rows: what is shown of their labels, after their box where several are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grafana.tables import Column

BOX = "box"  # the label with the box, where several are chosen
NAME = "row"  # the label with the names of rows
BOXLESS = "boxless"  # the same without their box: VictoriaMetrics joins no label with itself


def with_box(promql: str) -> str:
    """The query with the label box, where several boxes are chosen; an empty label makes no column."""
    return f'label_replace({promql}, "{BOX}", "$1", "$many", "(.+)")'


def with_name(promql: str, name: Column) -> str:
    """The query with the names of its rows, after their box where several are chosen."""
    if not name.label:
        return with_box(promql)
    label = name.label
    if name.more:
        joined = ", ".join(f'"{each}"' for each in (name.label, *name.more))
        promql, label = f'label_join({promql}, "{BOXLESS}", " ", {joined})', BOXLESS
    if name.short[0]:
        promql, label = shortened(promql, label, BOXLESS, name.short), BOXLESS
    return after_box(promql, label, NAME)


def shortened(promql: str, label: str, as_label: str, short: tuple[str, str]) -> str:
    """The query with a label ``as_label``: what an expression leaves of another, or all of that."""
    pattern, left = short
    whole = promql if label == as_label else f'label_join({promql}, "{as_label}", "", "{label}")'
    return f'label_replace({whole}, "{as_label}", "{left}", "{label}", "{pattern}")'


def after_box(promql: str, label: str, joined: str) -> str:
    """The query with the label ``joined``: another one, after the box where several are chosen."""
    box = f'label_replace({promql}, "{BOX}", "$1 ", "$many", "(.+)")'
    return f'label_join({box}, "{joined}", "", "{BOX}", "{label}")'
