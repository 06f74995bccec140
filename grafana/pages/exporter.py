"""Exporter: each probe's success, duration, age and runs, and what a scrape costs."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import bars, lines, log_lines, paint, ranking, timeline
from grafana.dashboard import Page
from grafana.row_names import shortened
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, state_stat, values_stat
from grafana.tables import number, state, table, text
from grafana.threshold_steps import steps
from prometheus.health import EXPORTER

PAGE = "Each probe's success, duration, age and runs; what a scrape costs."
NO_EXPORTER = "No grid-exporter answered in this range"
EACH = "by (instance, probe)"
STUCK = f"max {EACH} (grid_probe_stuck{{BOX}})"
LAST_RUN = f"({STUCK} == 1) * 4 or 3 - 2 * max {EACH} (grid_probe_success{{BOX}}) or {STUCK} * 0 + 2"
TEXTS = {
    0: ("off", value_mappings.OFF),
    1: ("succeeded", value_mappings.OK),
    2: ("first run", value_mappings.NEUTRAL),
    3: ("failed", value_mappings.CRITICAL),
    4: ("stuck", value_mappings.CRITICAL),
}
# At the scrape: time() would call a probe old that is fresh at every scrape, a minute later.
AGE = "timestamp(grid_probe_last_run_timestamp_seconds{BOX}) - grid_probe_last_run_timestamp_seconds{BOX}"

# Of a long path only the end, so that phones show it.
END_OF_PATH = ("disk:/.+(/[^/]+/[^/]+)", "…$1")


def page() -> Page:
    """The page."""
    exporter = Page("grid-exporter", PAGE, since="6h", refresh="30s")
    exporter.band(4, state_stat(EXPORTER), stats(), widths=(6, 18))
    exporter.band(9, probes_now(), runs_now())
    exporter.band(9, probes_over_time(), duration())
    exporter.heading("Cost of a scrape, ages and failed runs")
    exporter.band(8, age_when_served(), runs_that_failed())
    exporter.band(7, scrape_duration(), samples(), resources())
    exporter.heading("Own commands", folded=True)
    exporter.band(8, own_metrics_now(), own_metrics())
    exporter.annotate(reboots(), alerts("exporter"))
    return exporter


def stats() -> Panel:
    """The exporter in six values."""
    failing = "count(grid_probe_success{BOX}) - sum(grid_probe_success{BOX})"
    took = "max(scrape_duration_seconds{BOX})"
    used = 'sum(rate(process_cpu_seconds_total{BOX, command=""}[$__rate_interval]))'
    return values_stat(
        "Probes and scrapes",
        "Probes whose last run succeeded or failed, the slowest scrape, and what the exporter uses itself.",
        (
            Value("Probes", "sum(grid_probe_success{BOX})", "short"),
            Value("Failing", failing, "short", steps=threshold_steps.WARN_FROM_ONE),
            Value("Scrape took", took, "s", steps=steps(threshold_steps.SCRAPE), decimals=0),
            Value("Samples", "sum(scrape_samples_scraped{BOX})", "short"),
            Value("CPU of a core", used, "percentunit", decimals=1),
            Value("Memory", 'max(process_resident_memory_bytes{BOX, command=""})', "bytes", decimals=0),
        ),
    )


def probes_now() -> Panel:
    """A row a probe, and a row for each kind that is off."""
    off = f"(max {EACH} (grid_probe_enabled{{BOX}}) == 0) * 0"
    return table(
        "Probes now",
        "A row a probe, worst first: how its last run ended, and how long it took.",
        text("Probe", "probe", least=170, short=END_OF_PATH),
        state("Last run", f"{LAST_RUN} or {off}", TEXTS, 100),
        number("Took", f"max {EACH} (grid_probe_duration_seconds{{BOX}})", "s", 80),
        worst_by="Last run",
        empty="No grid-exporter answers",
    )


def runs_now() -> Panel:
    """A row a probe: its runs in the range."""
    succeeded = f"clamp_min(time() - max {EACH} (grid_probe_last_success_timestamp_seconds{{BOX}}), 0)"
    runs = f"sum {EACH} (increase(grid_probe_runs_total{{BOX}}[$__range]))"
    failed = f'sum {EACH} (increase(grid_probe_runs_total{{BOX, outcome!="success"}}[$__range]))'
    return table(
        "Runs of probes",
        "A row a probe: the share of its runs in the range that failed, and how long ago one succeeded.",
        text("Probe", "probe", least=170, short=END_OF_PATH),
        number(
            "Failed",
            f"{failed} / ({runs} > 0)",
            "percentunit",
            85,
            (0.001, value_mappings.WARNING),
            decimals=1,
        ),
        number("Succeeded", succeeded, "s", 95, decimals=0),
        worst_by="Failed",
        empty="No grid-exporter answers",
    )


def probes_over_time() -> Panel:
    """A row a probe."""
    return timeline(
        "Probes over time",
        "How each probe's last run had ended at the time.",
        over_time(shortened(LAST_RUN, "probe", "short", END_OF_PATH), "${who}{{short}}"),
        texts=TEXTS,
        empty=NO_EXPORTER,
        rows_a_page=10,
    )


def duration() -> Panel:
    """How long runs take."""
    return log_lines(
        "Duration",
        "How long each probe's last run took; every line of the grid is ten times the one below.",
        "s",
        over_time("grid_probe_duration_seconds{BOX}", "${who}{{probe}}"),
        empty=NO_EXPORTER,
    )


def age_when_served() -> Panel:
    """How old the served values are."""
    lifetimes = f"sort_desc(max {EACH} (clamp_min({AGE}, 0) / grid_probe_ttl_seconds{{BOX}}))"
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
        "Runs that failed (orange) or exceeded their timeout (red).",
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


OWN = '{BOX, command!="", __name__!~"grid_.*"}'


def own_metrics_now() -> Panel:
    """A row a series of the own commands."""
    value = f'label_replace({OWN}, "metric", "$1", "__name__", "(.+)")'
    return table(
        "Values of own commands",
        "The series that the configured commands print, as they are now.",
        text("Command", "command", width=90),
        text("Metric", "metric", least=160),
        number("Value", f"max by (instance, command, metric) ({value})", "short", 80),
        worst_by="Metric",
        ascending=True,
        empty="No command is configured",
    )


def own_metrics() -> Panel:
    """The series of the own commands over time."""
    return lines(
        "Own commands over time",
        "The series that the configured commands print; as they are, counters too.",
        "short",
        over_time(OWN, "${who}{{command}} {{__name__}}"),
        low=None,
        empty="No command is configured",
    )


def resources() -> Panel:
    """What the exporter itself uses."""
    return lines(
        "Exporter's memory",
        "Resident memory of the exporter.",
        "bytes",
        over_time('process_resident_memory_bytes{BOX, command=""}', "${who}memory"),
        names=("memory",),
        empty=NO_EXPORTER,
    )
