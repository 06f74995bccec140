"""Fleet: many boxes, worst first; a click opens a box or a part of it."""

from __future__ import annotations

from dataclasses import replace

from grafana import threshold_steps, value_mappings
from grafana.alerts_table import firing_now
from grafana.annotations import alerts, off_by_default, reboots
from grafana.charts import timeline
from grafana.dashboard import Page
from grafana.links import to_box
from grafana.sdk import Panel, over_time
from grafana.stat_panels import value_stat
from grafana.tables import GROUND, Column, number, share, table, text, text_of
from grafana.threshold_steps import steps
from grafana.value_mappings import NO_VALUE
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
    fleet.band(3, *stats())
    fleet.band(15, boxes())
    fleet.band(13, worst_over_time(), firing_now(across_boxes=True), widths=(15, 9))
    fleet.annotate(off_by_default(reboots()), off_by_default(alerts()))
    return fleet


def stats() -> list[Panel]:
    """All boxes in six values."""
    silent = "count(up{BOX}) - sum(up{BOX})"
    trouble = f"sum({WORST} > bool 0)"
    used = f"sum({USED}) / sum({TOTAL})"
    power = "sum(grid:gpu_power_draw_watts:sum{BOX})"
    odd, bad = threshold_steps.WARN_FROM_ONE, threshold_steps.CRITICAL_FROM_ONE
    return [
        value_stat("Boxes", "Boxes that Prometheus watches.", "count(up{BOX})", size=26),
        value_stat("Down", "Boxes that do not answer.", silent, "short", *bad, size=26),
        value_stat("With problems", "Boxes of which a part is not OK.", trouble, "short", *odd, size=26),
        value_stat("Cards", "GPUs in all boxes.", "sum(grid:gpu_cards:count{BOX})", size=26),
        value_stat("GPU memory used", "Of all cards together.", used, "percentunit", decimals=0, size=26),
        value_stat("Power", "What all cards draw together.", power, "watt", decimals=1, size=26),
    ]


def boxes() -> Panel:
    """A row a box."""
    return table(
        "Boxes, worst first",
        "A row a box; each column is the state of that part, as on its Overview. A click opens its page.",
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
            texts=value_mappings.state_texts(),
        ),
        *(part(domain) for domain in DOMAINS),
        number("Cards", "max by (job, instance) (grid:gpu_cards:count{BOX})", "short", 60, empty=NO_VALUE),
        narrow("GPU use", "max by (job, instance) (grid:gpu_utilization_ratio:avg{BOX})"),
        narrow("VRAM", f"max by (job, instance) ({USED} / {TOTAL})", *threshold_steps.GPU_MEMORY_USED),
        number(
            "Hottest",
            "max by (job, instance) (grid:gpu_temperature_celsius:max{BOX})",
            "celsius",
            75,
            *steps(threshold_steps.GPU_HEAT),
            empty=NO_VALUE,
        ),
        narrow(
            "Fullest disk",
            "max by (job, instance) (grid:filesystem_used_ratio:max{BOX})",
            *threshold_steps.DISK_USED,
        ),
        replace(text("Version", "version", 75), empty=NO_VALUE),
        labels_from="max by (job, instance, version) (grid_exporter_build_info{BOX})",
        worst_by="Worst",
        hidden=("job",),
        empty=NO_RULES,
    )


def part(domain: Domain) -> Column:
    """A domain's state: muted while it is OK, a dash where there is no such thing."""
    code = f'max by (job, instance) (grid:health:code{{BOX, domain="{domain.name}"}})'
    quiet = value_mappings.state_texts(ok=value_mappings.MUTED, absent=NO_VALUE)
    opened = to_box(domain.page, f"Open {domain.title}", THIS_ROW)
    column = text_of(domain.title, code, quiet, 96)
    return replace(column, align="center", empty=NO_VALUE, links=(opened,))


def narrow(title: str, promql: str, *limit: float) -> Column:
    """A share in little room."""
    return share(title, promql, *steps(limit), width=115, empty=NO_VALUE)


def worst_over_time() -> Panel:
    """A row_height a box; twenty a page, to stay readable."""
    return timeline(
        "Worst state over time",
        "The worst state of any part of each box.",
        over_time(WORST, "{{instance}}"),
        texts=value_mappings.state_texts(),
        empty=NO_RULES,
        row_height=0.8,
        rows_a_page=20,
    )
