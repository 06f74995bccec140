"""Stat panels: a state as text and colour, a value, a label."""

from __future__ import annotations

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
from grafana.links import to_page
from grafana.sdk import Panel, Step, now
from prometheus.health import Domain, health

NO_DATA = "No metrics yet"


def state_stat(domain: Domain, *, size: int = 24) -> Panel:
    """The worst state of a domain over the chosen boxes, as on Overview."""
    builder = _stat("short", size, colours=BigValueColorMode.BACKGROUND_SOLID)
    builder.mappings([_state_map(domain)])
    builder.thresholds(sdk.thresholds(value_mappings.TRANSPARENT))
    description = f"The worst state of {domain.title} over the chosen boxes, as on Overview."
    return sdk.finish(builder.build(), domain.title, description, [now(worst(domain))], NO_DATA)


def overview_stat(
    domain: Domain, value_title: str, promql: str, unit: str, *steps: Step, decimals: int | None = None
) -> Panel:
    """A domain's state and its most important value side by side; a click opens the domain's page."""
    builder = _stat("short", 20, colours=BigValueColorMode.BACKGROUND_SOLID).orientation(
        VizOrientation.VERTICAL
    )
    builder.thresholds(sdk.thresholds(value_mappings.TRANSPARENT))
    builder.data_links([to_page(domain.page, f"Open {domain.title}")])
    panel = sdk.finish(
        builder.build(),
        f"{domain.title} · {value_title}",
        f"Left, the worst state over the chosen boxes; right, {value_title}. A click opens its page.",
        [now(worst(domain), "state"), now(promql, value_title)],
        NO_DATA,
    )
    # By override on the state alone: as a default the mapping would turn a value of 11 into "Throttled".
    sdk.override(panel, "byFrameRefID", "A", {"mappings": [_state_map(domain)]})
    shown = {"unit": unit, "thresholds": sdk.thresholds(value_mappings.TRANSPARENT, *steps).build()}
    sdk.override(panel, "byFrameRefID", "B", shown | ({} if decimals is None else {"decimals": decimals}))
    return panel


def value_stat(
    title: str,
    description: str,
    promql: str,
    unit: str = "short",
    *steps: Step,
    decimals: int | None = None,
    empty: str = value_mappings.NO_VALUE,
    size: int = 24,
) -> Panel:
    """One number as it is now, coloured from a threshold on."""
    builder = _stat(unit, size).thresholds(sdk.thresholds(value_mappings.PLAIN, *steps))
    if decimals is not None:
        builder.decimals(decimals)
    return sdk.finish(builder.build(), title, description, [now(promql)], empty)


def label_stat(title: str, description: str, promql: str, label: str, *, size: int = 20) -> Panel:
    """The value of a label: the query returns it as a column."""
    builder = _stat("string", size, shown=f"/^{label}$/").thresholds(sdk.thresholds(value_mappings.PLAIN))
    return sdk.finish(builder.build(), title, description, [sdk.rows(now(promql))], value_mappings.NO_VALUE)


def _state_map(domain: Domain) -> model.ValueMap:
    texts = value_mappings.state_texts(absent=domain.absent, absent_colour=value_mappings.TRANSPARENT)
    return sdk.value_map(texts)


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
