"""Charts: lines, stacks, bars and state timelines over the chosen range."""

from __future__ import annotations

from typing import NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, statetimeline, timeseries
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeNamePlacement,
    BarGaugeSizing,
    BarGaugeValueMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TimelineValueAlignment,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from grafana import sdk, value_mappings
from grafana.sdk import Panel, Query, Step
from grafana.value_mappings import Texts

# Where model directories usually are.
MOUNTPOINTS = ("/", "/ai", "/home.*", "/srv.*", "/mnt.*", "/data.*", "/var.*", "/media.*")
GPU_NAMES = tuple(
    f"GPU {index}" for index in range(len(value_mappings.LINES))
)  # a GPU keeps its colour on every panel


class Legend(NamedTuple):
    """A legend as a table to the right of the chart; sorted by its first calculation, largest first."""

    width: int
    calcs: tuple[str, ...]

    def build(self) -> common.VizLegendOptions:
        """The SDK's legend. Grafana sorts by a calculation's title, not by its id."""
        titles = {"lastNotNull": "Last *", "max": "Max", "mean": "Mean"}
        return (
            _legend(LegendDisplayMode.TABLE, LegendPlacement.RIGHT)
            .calcs(list(self.calcs))
            .width(self.width)
            .sort_by(titles[self.calcs[0]])
            .sort_desc(sort_desc=True)
        )


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    empty: str,
    names: tuple[str, ...] = (),
    dashed: tuple[float, ...] = (),
    low: float | None = 0,
    high: float | None = None,
    legend: Legend | None = None,
) -> Panel:
    """Lines over the chosen range.

    Args:
        title: the panel's.
        description: what the lines are, and of what.
        unit: Grafana's name of the unit.
        queries: with their legends.
        empty: the text where there is no data.
        names: legends that get neutral colours of their own, in this order.
        dashed: dashed threshold lines, warning and critical.
        low: where the axis begins; None where zero means nothing.
        high: where the axis ends.
        legend: a table, where a list below does not do.
    """
    builder = _timeseries(unit, legend).color_scheme(sdk.colour(FieldColorModeId.PALETTE_CLASSIC))
    if low is not None:
        builder.min(low)
    if high is not None:
        builder.max(high)
    if dashed:
        builder.thresholds(
            sdk.thresholds(
                value_mappings.TRANSPARENT,
                *zip(dashed, (value_mappings.WARNING, value_mappings.CRITICAL), strict=False),
            )
        )
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        builder.thresholds_style(style)
    return neutral(sdk.finish(builder.build(), title, description, queries, empty), names)


def log_lines(title: str, description: str, unit: str, *queries: Query, empty: str) -> Panel:
    """Lines whose values span several orders of magnitude."""
    builder = _timeseries(unit).color_scheme(sdk.colour(FieldColorModeId.PALETTE_CLASSIC))
    builder.scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10))
    return sdk.finish(builder.build(), title, description, queries, empty)


def counts(
    title: str, description: str, unit: str, *queries: Query, empty: str, names: tuple[str, ...] = ()
) -> Panel:
    """Counts that hold until they change."""
    builder = _timeseries(unit).color_scheme(sdk.colour(FieldColorModeId.PALETTE_CLASSIC)).min(0).decimals(0)
    # A soft end of the axis: a few errors must not fill it, nor none of them draw a line in mid-air.
    builder.line_interpolation(LineInterpolation.STEP_AFTER).axis_soft_max(5)
    return neutral(sdk.finish(builder.build(), title, description, queries, empty), names)


def stack(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    empty: str,
    legend: Legend | None = None,
    decimals: int | None = None,
    names: tuple[str, ...] = (),
) -> Panel:
    """Stacked areas; ``names``: of series of known names, in the order of their colours."""
    builder = _timeseries(unit, legend).color_scheme(sdk.colour(FieldColorModeId.PALETTE_CLASSIC)).min(0)
    builder.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(50).line_width(0)
    builder.show_points(VisibilityMode.NEVER)
    if decimals is not None:
        builder.decimals(decimals)
    return neutral(sdk.finish(builder.build(), title, description, queries, empty), names)


def bars(title: str, description: str, unit: str, *queries: Query, empty: str) -> Panel:
    """Events, stacked where they coincide."""
    builder = _timeseries(unit).color_scheme(sdk.colour(FieldColorModeId.PALETTE_CLASSIC)).min(0).decimals(0)
    builder.draw_style(GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    builder.show_points(VisibilityMode.NEVER)
    builder.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return sdk.finish(builder.build(), title, description, queries, empty)


def timeline(
    title: str,
    description: str,
    *queries: Query,
    texts: Texts,
    empty: str,
    row_height: float = 0.85,
    rows_a_page: int = 0,
) -> Panel:
    """States over time, a row each.

    ``row_height`` is the share of a row that its bar fills; ``rows_a_page``: more of them
    are on further pages.
    """
    builder = _timeline(row_height).fill_opacity(85).line_width(0).mappings([sdk.value_map(texts)])
    # Not by thresholds: that drops the texts and prints ranges.
    builder.color_scheme(sdk.colour(FieldColorModeId.FIXED, value_mappings.PLAIN))
    if rows_a_page:
        builder.per_page(rows_a_page)
    return sdk.finish(builder.build(), title, description, queries, empty)


def label_timeline(title: str, description: str, query: Query, *, label: str, empty: str) -> Panel:
    """A label's values over time, a row a box; all in one colour, with thin borders."""
    builder = _timeline(0.85).fill_opacity(45).line_width(1).display_name("${__field.labels.instance}")
    builder.color_scheme(sdk.colour(FieldColorModeId.FIXED, value_mappings.NEUTRAL))
    panel = sdk.finish(builder.build(), title, description, [sdk.rows(query)], empty)
    naming = {"asLabels": True}
    sdk.transform(panel, "partitionByValues", fields=["instance"], keepFields=False, naming=naming)
    # Where there are several boxes, the kept fields carry their name as a suffix.
    sdk.transform(panel, "filterFieldsByName", include={"pattern": f"^(Time|{label}).*"})
    return panel


def ranking(
    title: str, description: str, promql: str, legend: str, *steps: Step, high: float, empty: str
) -> Panel:
    """Current values as bars."""
    # Above the bars, names are whole on a phone, in Grafana's own size: one set by hand cuts them.
    builder = (
        bargauge.Panel()
        .unit("none")
        .decimals(1)
        .min(0)
        .max(high)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .value_mode(BarGaugeValueMode.TEXT)
        .name_placement(BarGaugeNamePlacement.TOP)
        .show_unfilled(show_unfilled=True)
        .sizing(BarGaugeSizing.MANUAL)
        .min_viz_height(36)
        .max_viz_height(44)
        .color_scheme(sdk.colour(FieldColorModeId.THRESHOLDS))
        .thresholds(sdk.thresholds(value_mappings.NEUTRAL, *steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False).fields(""))
        .text(common.VizTextDisplayOptions().value_size(14))
    )
    return sdk.finish(builder.build(), title, description, [sdk.now(promql, legend)], empty)


def neutral(panel: Panel, names: tuple[str, ...]) -> Panel:
    """Gives series of known names fixed colours that carry no state."""
    for name, shade in zip(names, value_mappings.LINES, strict=False):
        # With several boxes, a box's name comes first; "GPU 0 limit" has the colour of GPU 0.
        paint(panel, f"/^(.* )?{name}( .*)?$/", shade)
    return panel


def paint(panel: Panel, matching: str, shade: str, **properties: object) -> None:
    """Gives the lines whose names match a colour, and further properties."""
    fixed = {"mode": "fixed", "fixedColor": shade}
    sdk.override(panel, "byRegexp", matching, {"color": fixed, **properties})


def _timeseries(unit: str, legend: Legend | None = None) -> timeseries.Panel:
    below = _legend(LegendDisplayMode.LIST, LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    return (
        timeseries.Panel()
        .unit(unit)
        .line_width(1)
        .fill_opacity(0)
        .show_points(VisibilityMode.AUTO)
        .legend(legend.build() if legend else below)
        .tooltip(tooltip)
    )


def _timeline(row_height: float) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .unit("short")
        .thresholds(sdk.thresholds(value_mappings.PLAIN))
        .row_height(row_height)
        .max_data_points(sdk.TIMELINE_POINTS)
        .merge_values(merge_values=True)
        .align_value(TimelineValueAlignment.LEFT)
        .show_value(VisibilityMode.AUTO)
        .legend(_legend(LegendDisplayMode.HIDDEN, LegendPlacement.BOTTOM).show_legend(show_legend=False))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
        .disable_pagination()
    )


def _legend(mode: LegendDisplayMode, place: LegendPlacement) -> common.VizLegendOptions:
    return common.VizLegendOptions().display_mode(mode).placement(place).show_legend(show_legend=True)
