"""Tiles: the state in a word and a colour, the figure beside it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueJustifyMode,
    BigValueTextMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from grafana import sdk, value_mappings
from grafana.links import to_page
from grafana.sdk import Panel, Step, now
from prometheus.health import Domain, health

NO_WORD = "No word yet"  # no exporter has told anything: neither well nor absent


def state_tile(domain: Domain, *, size: int = 24) -> Panel:
    """The worst state of a domain over the chosen boxes, in a word; the same tile as on Overview."""
    builder = _stat("short", size, colours=BigValueColorMode.BACKGROUND_SOLID)
    builder.mappings(
        [sdk.in_words(value_mappings.state_words(absent=domain.absent, absent_colour=value_mappings.CLEAR))]
    )
    builder.thresholds(sdk.thresholds(value_mappings.CLEAR))
    description = f"The worst state of {domain.title} over the chosen boxes, as on Overview."
    return sdk.finish(builder.build(), domain.title, description, [now(worst(domain))], NO_WORD)


def overview_tile(
    domain: Domain, figure_title: str, promql: str, unit: str, *steps: Step, decimals: int | None = None
) -> Panel:
    """A domain's state and its most telling figure side by side; a click opens the page that says why."""
    builder = _stat("short", 20, colours=BigValueColorMode.BACKGROUND_SOLID).orientation(
        VizOrientation.VERTICAL
    )
    builder.thresholds(sdk.thresholds(value_mappings.CLEAR))
    builder.data_links([to_page(domain.page, f"Open {domain.title}")])
    panel = sdk.finish(
        builder.build(),
        f"{domain.title} · {figure_title}",
        f"Left, the worst state over the chosen boxes; right, {figure_title}. A click opens its page.",
        [now(worst(domain), "state"), now(promql, figure_title)],
        NO_WORD,
    )
    # The words by override, on the state alone: as a default they would turn a figure of 11 into "Throttled".
    named = sdk.in_words(value_mappings.state_words(absent=domain.absent, absent_colour=value_mappings.CLEAR))
    sdk.override(panel, "byFrameRefID", "A", {"mappings": [named]})
    look = {"unit": unit, "thresholds": sdk.thresholds(value_mappings.CLEAR, *steps).build()}
    sdk.override(panel, "byFrameRefID", "B", look | ({} if decimals is None else {"decimals": decimals}))
    return panel


def figure(
    title: str,
    description: str,
    promql: str,
    unit: str = "short",
    *steps: Step,
    decimals: int | None = None,
    empty: str = value_mappings.NOTHING,
    size: int = 24,
) -> Panel:
    """One number as it is now, coloured from a threshold on."""
    builder = _stat(unit, size).thresholds(sdk.thresholds(value_mappings.PLAIN, *steps))
    if decimals is not None:
        builder.decimals(decimals)
    return sdk.finish(builder.build(), title, description, [now(promql)], empty)


def label_figure(title: str, description: str, promql: str, label: str, *, size: int = 20) -> Panel:
    """A word that stands in a label: the query gives it as a column, which is shown."""
    builder = _stat("string", size, shown=f"/^{label}$/").thresholds(sdk.thresholds(value_mappings.PLAIN))
    return sdk.finish(builder.build(), title, description, [sdk.rows(now(promql))], value_mappings.NOTHING)


def worst(domain: Domain) -> str:
    """PromQL for the worst code of a domain over the chosen boxes."""
    return f"max({health(domain.name)})"


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
