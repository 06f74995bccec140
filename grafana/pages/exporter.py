"""Exporter: each probe's success, duration, age and runs, and what a scrape costs."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import Legend, bars, lines, log_lines, paint, ranking, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import label_stat, state_stat, value_stat
from grafana.tables import number, state, table, text
from grafana.threshold_steps import steps
from prometheus.health import EXPORTER

PAGE = "Each probe's success, duration, age and runs; what a scrape costs."
NO_EXPORTER = "No grid-exporter answered in this range"
EACH = "by (instance, probe)"
STUCK = f"max {EACH} (grid_probe_stuck{{BOX}})"
LAST_RUN = f"({STUCK} == 1) * 4 or 3 - 2 * max {EACH} (grid_probe_success{{BOX}}) or {STUCK} * 0 + 2"
TEXTS = {
    0: ("not here", value_mappings.OFF),
    1: ("worked", value_mappings.OK),
    2: ("first run", value_mappings.NEUTRAL),
    3: ("failed", value_mappings.CRITICAL),
    4: ("stuck", value_mappings.CRITICAL),
}
# At the scrape: time() would call a probe old that is fresh at every scrape, a minute later.
AGE = "timestamp(grid_probe_last_run_timestamp_seconds{BOX}) - grid_probe_last_run_timestamp_seconds{BOX}"


def page() -> Page:
    """The page."""
    exporter = Page("grid-exporter", PAGE, since="6h", refresh="30s")
    exporter.band(3, state_stat(EXPORTER), *stats())
    exporter.band(9, probes_now(), probes_over_time(), widths=(14, 10))
    exporter.band(8, duration(), age_when_served(), widths=(14, 10))
    exporter.band(7, runs_that_failed(), scrape_duration(), samples())
    exporter.annotate(reboots(), alerts("exporter"))
    return exporter


def stats() -> list[Panel]:
    """The exporter in seven values."""
    failing = "count(grid_probe_success{BOX}) - sum(grid_probe_success{BOX})"
    took = "max(scrape_duration_seconds{BOX})"
    used = 'sum(rate(process_cpu_seconds_total{BOX, command=""}[$__rate_interval]))'
    version = "count by (version) (grid_exporter_build_info{BOX})"
    slow = steps(threshold_steps.SCRAPE)
    return [
        value_stat("Probes", "Probes whose last run worked.", "sum(grid_probe_success{BOX})"),
        value_stat(
            "Failing", "Probes whose last run failed.", failing, "short", *threshold_steps.WARN_FROM_ONE
        ),
        value_stat("Scrape took", "The slowest box's last scrape.", took, "s", *slow, decimals=0),
        value_stat(
            "Samples", "Samples in a scrape, of all boxes together.", "sum(scrape_samples_scraped{BOX})"
        ),
        value_stat("CPU", "What the exporter uses of a core.", used, "percentunit", decimals=1),
        value_stat(
            "Memory",
            "What the exporter holds.",
            'max(process_resident_memory_bytes{BOX, command=""})',
            "bytes",
            decimals=0,
        ),
        label_stat("Version", "The exporter's version.", version, "version"),
    ]


def probes_now() -> Panel:
    """A row a probe, and a row a kind of probe that the box has no use for."""
    not_here = f"(max {EACH} (grid_probe_enabled{{BOX}}) == 0) * 0"
    succeeded = f"time() - max {EACH} (grid_probe_last_success_timestamp_seconds{{BOX}})"
    runs = f"sum {EACH} (increase(grid_probe_runs_total{{BOX}}[$__range]))"
    failed = f'sum {EACH} (increase(grid_probe_runs_total{{BOX, outcome!="success"}}[$__range]))'
    return table(
        "Probes now",
        "A row a probe, worst first. Age: at the last scrape. Runs, and those that failed: in the range.",
        text("Instance", "instance", 120),
        text("Probe", "probe"),
        state("Last run", f"{LAST_RUN} or {not_here}", TEXTS, 90),
        number("Took", f"max {EACH} (grid_probe_duration_seconds{{BOX}})", "s", 85),
        number("Age", f"max {EACH} ({AGE})", "s", 75, decimals=0),
        number("Succeeded", succeeded, "s", 100, decimals=0),
        number("Good for", f"max {EACH} (grid_probe_ttl_seconds{{BOX}})", "s", 80, decimals=0),
        number("Runs", runs, "short", 65, decimals=0),
        number(
            "Failed", f"{failed} / {runs}", "percentunit", 80, (0.001, value_mappings.WARNING), decimals=1
        ),
        worst_by="Last run",
        empty="No grid-exporter answers",
    )


def probes_over_time() -> Panel:
    """A row_height a probe."""
    return timeline(
        "Probes over time",
        "How each probe's last run had ended at the time.",
        over_time(LAST_RUN, "${who}{{probe}}"),
        texts=TEXTS,
        empty=NO_EXPORTER,
    )


def duration() -> Panel:
    """How long runs take."""
    return log_lines(
        "Duration",
        "How long each probe's last run took; every line of the grid is ten times the one below.",
        "s",
        over_time("grid_probe_duration_seconds{BOX}", "${who}{{probe}}"),
        legend=Legend(260, ("max", "mean")),
        empty=NO_EXPORTER,
    )


def age_when_served() -> Panel:
    """How old the served values are."""
    lifetimes = f"sort_desc(max {EACH} (({AGE}) / grid_probe_ttl_seconds{{BOX}}))"
    return ranking(
        "Age when served, in lifetimes",
        "How old each probe's values were at the last scrape, in its ttl; above 2 they were served late.",
        lifetimes,
        "${who}{{probe}}",
        *steps(threshold_steps.PROBE_AGE),
        high=4,
        empty="No grid-exporter answers",
    )


def runs_that_failed() -> Panel:
    """When probes failed."""
    runs = 'grid_probe_runs_total{BOX, outcome!="success"}'
    failed = f"sum by (instance, probe, outcome) (increase({runs}[$__rate_interval]))"
    panel = bars(
        "Runs that failed",
        "Runs that failed (orange) or were ended because they took too long (red).",
        "short",
        over_time(f"{failed} > 0", "${who}{{probe}} {{outcome}}"),
        empty="No run failed in this range",
    )
    paint(panel, "/failure$/", value_mappings.WARNING)
    paint(panel, "/timeout$/", value_mappings.CRITICAL)
    return panel


def scrape_duration() -> Panel:
    """What a scrape costs in time."""
    return lines(
        "Scrape duration",
        "How long a scrape took, as Prometheus saw it.",
        "s",
        over_time("scrape_duration_seconds{BOX}", "${who}scrape"),
        names=("scrape",),
        empty=NO_EXPORTER,
    )


def samples() -> Panel:
    """What a scrape costs in samples."""
    return lines(
        "Samples",
        "Samples in a scrape, and how many of them began a new series.",
        "short",
        over_time("scrape_samples_scraped{BOX}", "${who}samples"),
        over_time("scrape_series_added{BOX}", "${who}new series"),
        names=("samples", "new series"),
        empty=NO_EXPORTER,
    )
