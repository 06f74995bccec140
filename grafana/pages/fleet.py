"""Fleet: many boxes, worst first; a click opens a box or a part of it."""

from __future__ import annotations

from dataclasses import replace

from grafana import threshold_steps, value_mappings
from grafana.alerts_table import firing_now
from grafana.annotations import alerts, off_at_first, reboots
from grafana.charts import timeline
from grafana.dashboard import Page
from grafana.links import to_box
from grafana.sdk import Panel, over_time
from grafana.stat_panels import figure
from grafana.tables import GROUND, Column, share, table, text, word
from grafana.tables import figure as number
from grafana.threshold_steps import steps
from grafana.value_mappings import NOTHING
from prometheus.health import DOMAINS, Domain

PAGE = (
    "Many boxes, worst first. A click on a box opens its Overview, a click on a part the page that says why."
)
# Recorded by prometheus/rules, so that hundreds of boxes answer as quickly as one.
CODE = "grid:health:code{BOX}"
WORST = f"max by (job, instance) ({CODE})"
USED = "grid:gpu_memory_used_bytes:sum{BOX}"
TOTAL = "grid:gpu_memory_total_bytes:sum{BOX}"
NO_RULES = "No recorded health: are the rules loaded?"
THIS_ROW = "${__data.fields.Box}"


def page() -> Page:
    """The page."""
    fleet = Page("grid-fleet", PAGE, since="6h", refresh="1m")
    fleet.band(3, *figures())
    fleet.band(15, boxes())
    fleet.band(13, worst_over_time(), firing_now(across_boxes=True), widths=(15, 9))
    fleet.mark(off_at_first(reboots()), off_at_first(alerts()))
    return fleet


def figures() -> list[Panel]:
    """All boxes in six numbers."""
    silent = "count(up{BOX}) - sum(up{BOX})"
    trouble = f"sum({WORST} > bool 0)"
    used = f"sum({USED}) / sum({TOTAL})"
    power = "sum(grid:gpu_power_draw_watts:sum{BOX})"
    odd, bad = threshold_steps.ANY_IS_ODD, threshold_steps.ANY_IS_BAD
    return [
        figure("Boxes", "Boxes that Prometheus watches.", "count(up{BOX})", size=26),
        figure("Silent", "Boxes that do not answer.", silent, "short", *bad, size=26),
        figure("With trouble", "Boxes of which a part is not well.", trouble, "short", *odd, size=26),
        figure("Cards", "GPUs in all boxes.", "sum(grid:gpu_cards:count{BOX})", size=26),
        figure("GPU memory used", "Of all cards together.", used, "percentunit", decimals=0, size=26),
        figure("Power", "What all cards draw together.", power, "watt", decimals=1, size=26),
    ]


def boxes() -> Panel:
    """A row a box."""
    return table(
        "Boxes, worst first",
        "A row a box; a word is the state of that part, as on its Overview. A click opens its page.",
        Column(
            title="Box",
            label="instance",
            width=125,
            links=(to_box("grid-overview", "Open this box", "${__value.raw}"),),
        ),
        Column(
            title="Worst",
            promql=WORST,
            unit="short",
            width=105,
            align="center",
            cell=GROUND,
            meaning=value_mappings.state_words(),
        ),
        *(part(domain) for domain in DOMAINS),
        number("Cards", "max by (job, instance) (grid:gpu_cards:count{BOX})", "short", 60, empty=NOTHING),
        narrow("GPU use", "max by (job, instance) (grid:gpu_utilization_ratio:avg{BOX})"),
        narrow("VRAM", f"max by (job, instance) ({USED} / {TOTAL})", *threshold_steps.GPU_MEMORY_USED),
        number(
            "Hottest",
            "max by (job, instance) (grid:gpu_temperature_celsius:max{BOX})",
            "celsius",
            75,
            *steps(threshold_steps.GPU_HEAT),
            empty=NOTHING,
        ),
        narrow(
            "Fullest disk",
            "max by (job, instance) (grid:filesystem_used_ratio:max{BOX})",
            *threshold_steps.DISK_USED,
        ),
        replace(text("Version", "version", 75), empty=NOTHING),
        labels_from="max by (job, instance, version) (grid_exporter_build_info{BOX})",
        worst_by="Worst",
        hidden=("job",),
        empty=NO_RULES,
    )


def part(domain: Domain) -> Column:
    """A domain's state: quiet while it is well, a dash where there is no such thing."""
    code = f'max by (job, instance) (grid:health:code{{BOX, domain="{domain.name}"}})'
    quiet = value_mappings.state_words(well=value_mappings.FAINT, absent=NOTHING)
    opened = to_box(domain.page, f"Open {domain.title}", THIS_ROW)
    column = word(domain.title, code, quiet, 96)
    return replace(column, align="center", empty=NOTHING, links=(opened,))


def narrow(title: str, promql: str, *limit: float) -> Column:
    """A share in little room."""
    return share(title, promql, *steps(limit), width=115, empty=NOTHING)


def worst_over_time() -> Panel:
    """A lane a box; twenty on a screen, or nobody could read them."""
    return timeline(
        "Worst state over time",
        "The worst state of any part of each box.",
        over_time(WORST, "{{instance}}"),
        meaning=value_mappings.state_words(),
        empty=NO_RULES,
        lane=0.8,
        lanes_a_page=20,
    )
