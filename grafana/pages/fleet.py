"""Fleet: many boxes, worst first; each row opens a box or the page with the reason."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.alerts_table import firing_now
from grafana.annotations import alerts, off_by_default, reboots
from grafana.charts import timeline
from grafana.dashboard import Page
from grafana.gpu_panels import ASLEEP
from grafana.links import FLEET, to_box
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, values_stat
from grafana.tables import Column, number, state, table
from grafana.threshold_steps import steps
from grafana.value_mappings import NO_VALUE
from prometheus.health import CHOSEN
from prometheus.recording import HEALTH, PROBLEM

PAGE = "Many boxes, worst first. A click opens the box, or the page that shows its problem."
# Recorded by prometheus/rules, so that hundreds of boxes answer as quickly as one.
WORST = f"max by (job, instance) ({HEALTH}{{BOX}})"
USED = "grid:gpu_memory_used_bytes:sum{BOX}"
TOTAL = "grid:gpu_memory_total_bytes:sum{BOX}"
WORST_IN_RANGE = f"max_over_time({HEALTH}{{BOX}}[$__range] @ end())"
EACH = "max by (job, instance)"
BOX = Column(
    title="Box",
    label="instance",
    least=70,
    links=(to_box("grid-overview", "Open this box", "${__value.raw}"),),
)
NO_RULES = "No recorded health: are the rules loaded?"


def page() -> Page:
    """The page."""
    fleet = Page(FLEET, PAGE, since="6h", refresh="1m")
    fleet.band(4, stats())
    fleet.band(14, boxes(), use_of_boxes(), widths=(14, 10))
    fleet.band(9, problems_now())
    fleet.band(7, firing_now())
    fleet.band(10, worst_over_time())
    fleet.annotate(off_by_default(reboots()), off_by_default(alerts()))
    return fleet


def stats() -> Panel:
    """All boxes in a few values."""
    used = f"sum({USED}) / sum({TOTAL})"
    odd, bad = threshold_steps.WARN_FROM_ONE, threshold_steps.CRITICAL_FROM_ONE
    return values_stat(
        "All boxes",
        "Boxes that Prometheus watches, that do not answer, that have a problem; their GPUs.",
        (
            Value("Boxes", "count(up{BOX})", "short"),
            Value("Down", "count(up{BOX}) - sum(up{BOX})", "short", steps=bad),
            Value("Not OK", f"sum({WORST} > bool 0)", "short", steps=odd),
            *(
                Value(name, f'sum(grid:gpu_cards:count{{BOX, vendor="{name.lower()}"}})', "short")
                for name in ("NVIDIA", "AMD", "Intel")
            ),
            ASLEEP,
            Value("VRAM", used, "percentunit", decimals=0),
            Value("Power", "sum(grid:gpu_power_draw_watts:sum{BOX})", "watt", decimals=1),
        ),
    )


def boxes() -> Panel:
    """A row a box: its state."""
    worst = f"topk by (job, instance) (1, {PROBLEM}{{BOX}})"
    reason = f"max by (job, instance, reason, domain) ({worst})"
    return table(
        "Boxes",
        "A row a box, the worst first, with its worst problem. A click opens the box, or the problem's page.",
        BOX,
        state("State", WORST, value_mappings.state_texts(), 110),
        Column(title="Reason", label="reason", least=120, links=(_to_problem(),)),
        labels_from=f"{reason} or {EACH} (up{{BOX}}) unless on (job, instance) {PROBLEM}{{BOX}}",
        worst_by="State",
        hidden=("job", "domain"),
        empty=NO_RULES,
        boxes=False,
    )


def use_of_boxes() -> Panel:
    """A row a box: what of it is used."""
    return table(
        "Use of boxes",
        "A row a box, the hottest first: how busy, full and hot its GPUs are, and its fullest disk.",
        BOX,
        _ratio("GPU use", 76, f"{EACH} (grid:gpu_utilization_ratio:avg{{BOX}})"),
        _ratio("VRAM", 58, f"{EACH} ({USED} / {TOTAL})", *threshold_steps.GPU_MEMORY_USED),
        number(
            "Hottest",
            f"{EACH} (grid:gpu_temperature_celsius:max{{BOX}})",
            "celsius",
            92,
            *steps(threshold_steps.GPU_HEAT),
            empty=NO_VALUE,
        ),
        _ratio("Disk", 52, f"{EACH} (grid:filesystem_used_ratio:max{{BOX}})"),
        labels_from=f"{EACH} (up{{BOX}})",
        worst_by="Hottest",
        hidden=("job",),
        empty=NO_RULES,
        boxes=False,
    )


def _ratio(title: str, width: int, promql: str, *limit: float) -> Column:
    return number(title, promql, "percentunit", width, *steps(limit), decimals=0, empty=NO_VALUE)


def _to_problem() -> dict[str, object]:
    return to_box("grid-${__data.fields.domain}", "Open the page of this problem", "${__data.fields.Box}")


def problems_now() -> Panel:
    """A row a problem."""
    return table(
        "Problems",
        "A row a problem of any box, the worst first. A click opens the page that shows it.",
        Column(title="Box", label="instance", width=85),
        state(
            "State",
            f"max by (instance, domain, reason) ({PROBLEM}{{BOX}})",
            value_mappings.state_texts(),
            110,
        ),
        Column(title="Problem", label="reason", least=150, links=(_to_problem(),)),
        worst_by="State",
        hidden=("domain",),
        empty="No box has a problem",
        boxes=False,
    )


def worst_over_time() -> Panel:
    """A row a box that was not OK."""
    return timeline(
        "Worst state over time",
        "The worst state of any part of each box that was not OK in the range.",
        over_time(f"{WORST} and max by (job, instance) ({WORST_IN_RANGE}) > 0", "{{instance}}", CHOSEN),
        texts=value_mappings.state_texts(),
        empty="Every box was OK, or the rules are not loaded",
        row_height=0.8,
        rows_a_page=13,
    )
