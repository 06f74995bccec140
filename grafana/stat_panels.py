"""Stat panels: states with their reasons, values, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueJustifyMode,
    BigValueTextMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from grafana import sdk, value_mappings
from grafana.links import PAGES, to_page
from grafana.sdk import Panel, Step, now
from grafana.value_mappings import Texts
from prometheus import states
from prometheus.health import Domain, worst_problem

NO_DATA = "No metrics yet"  # not even whether there is such a thing
HOW_TO_ADD = "grid-exporter doctor reports why, and how to add it"


class Value(NamedTuple):
    """One of several values of a panel: its name, query, unit and colours; a click opens ``page``.

    ``texts``: a value mapping.
    """

    name: str
    promql: str
    unit: str
    page: str = ""
    steps: tuple[Step, ...] = ()
    decimals: int | None = None
    texts: Texts | None = None


def state_stat(domain: Domain) -> Panel:
    """The worst state of a domain over the chosen boxes, and the reason."""
    builder = _stat("short", 22, colours=BigValueColorMode.BACKGROUND_SOLID)
    builder.text_mode(BigValueTextMode.VALUE_AND_NAME).orientation(VizOrientation.HORIZONTAL)
    builder.wide_layout(wide_layout=False).text(_sizes(22, 13))
    builder.mappings(_severities()).thresholds(sdk.thresholds(value_mappings.TRANSPARENT))
    description = f"The worst state of {domain.title} over the chosen boxes, and the reason."
    query = now(worst_problem(domain.name), "${who}{{reason}}")
    return sdk.finish(builder.build(), domain.title, description, [query], NO_DATA)


def states_stat(title: str, description: str, domains: Sequence[Domain]) -> Panel:
    """The states of the domains that the box has, with their reasons; a click opens the domain's page."""
    builder = _stat("short", 17, colours=BigValueColorMode.BACKGROUND_SOLID)
    builder.text_mode(BigValueTextMode.VALUE_AND_NAME).wide_layout(wide_layout=False).text(_sizes(17, 12))
    builder.mappings(_severities()).thresholds(sdk.thresholds(value_mappings.TRANSPARENT))
    queries = [
        now(f"{worst_problem(domain.name)} >= 0", f"${{who}}{domain.title} · {{{{reason}}}}")
        for domain in domains
    ]
    panel = sdk.finish(builder.build(), title, description, queries, "No grid-exporter answers")
    for index, domain in enumerate(domains):
        link = to_page(domain.page, f"Open {domain.title}")
        sdk.override(panel, "byFrameRefID", sdk.letter(index), {"links": [link]})
    return panel


def absent(domain: Domain) -> Value:
    """A line that only a box without such a thing has, at the top of the domain's page.

    No query hides a panel or a row in Grafana 11 to 13: a repeated one is drawn once where its variable is
    empty. So such a page has few panels outside of folded rows.
    """
    enabled = f'max(grid_probe_enabled{{BOX, probe="{domain.name}"}})'
    texts = {0: (f"{domain.absent} here: the rest stays empty", value_mappings.PLAIN)}
    return Value(HOW_TO_ADD, f"{enabled} == 0", "none", texts=texts)


def values_stat(title: str, description: str, values: Sequence[Value]) -> Panel:
    """Several values side by side; those that the box does not have leave no gap."""
    builder = _stat("short", 16).text_mode(BigValueTextMode.VALUE_AND_NAME).wide_layout(wide_layout=False)
    builder.text(_sizes(16, 11)).thresholds(sdk.thresholds(value_mappings.PLAIN))
    queries = [now(value.promql, value.name) for value in values]
    panel = sdk.finish(builder.build(), title, description, queries, value_mappings.NO_VALUE)
    for index, value in enumerate(values):
        thresholds = sdk.thresholds(value_mappings.PLAIN, *value.steps).build()
        shown: dict[str, object] = {"unit": value.unit, "thresholds": thresholds}
        if value.decimals is not None:
            shown["decimals"] = value.decimals
        if value.texts:
            shown["mappings"] = [sdk.value_map(value.texts)]
        if value.page:
            shown["links"] = [to_page(value.page, f"Open {PAGES[value.page]}")]
        sdk.override(panel, "byFrameRefID", sdk.letter(index), shown)
    return panel


def names_stat(
    title: str, description: str, promql: str, legend: str, *, text: str, empty: str, rows: bool = False
) -> Panel:
    """The names of a query's series, each with one text instead of its value; ``rows``: below each other."""
    size = 14 if rows else 12
    builder = _stat("short", size).text_mode(BigValueTextMode.VALUE_AND_NAME).text(_sizes(12, size))
    builder.wide_layout(wide_layout=False)
    if rows:
        builder.orientation(VizOrientation.HORIZONTAL)
    builder.mappings([sdk.value_map(dict.fromkeys((0, 1), (text, value_mappings.OFF)))])
    builder.thresholds(sdk.thresholds(value_mappings.OFF))
    return sdk.finish(builder.build(), title, description, [now(promql, legend)], empty)


def _severities() -> list[model.ValueMap | model.RangeMap | model.RegexMap | model.SpecialValueMap]:
    """Codes as severities: Off, OK, Warning, Unknown, Critical, Down."""
    codes = {
        states.OFF.code: (states.OFF.text, value_mappings.TRANSPARENT),
        states.OK.code: (states.OK.text, value_mappings.OK),
        states.UNKNOWN.code: (states.UNKNOWN.text, value_mappings.UNKNOWN),
        states.DOWN.code: (states.DOWN.text, value_mappings.CRITICAL),
    }
    warning = sdk.range_map(1, states.UNKNOWN.code - 1, "Warning", value_mappings.WARNING)
    critical = sdk.range_map(
        states.UNKNOWN.code + 1, states.DOWN.code - 1, "Critical", value_mappings.CRITICAL
    )
    return [sdk.value_map(codes), warning, critical]


def _sizes(value: int, name: int) -> common.VizTextDisplayOptions:
    return common.VizTextDisplayOptions().value_size(value).title_size(name)


def _stat(
    unit: str, size: int, *, shown: str = "", colours: BigValueColorMode = BigValueColorMode.VALUE
) -> stat.Panel:
    return (
        stat.Panel()
        .unit(unit)
        .color_mode(colours)
        .color_scheme(sdk.colour(FieldColorModeId.THRESHOLDS))
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE)
        .justify_mode(BigValueJustifyMode.CENTER)
        .orientation(VizOrientation.AUTO)
        .wide_layout(wide_layout=True)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False).fields(shown))
        .text(common.VizTextDisplayOptions().value_size(size))
    )
