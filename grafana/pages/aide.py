"""AIDE: whether the files are as they were accepted."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import counts, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, state_stat, values_stat
from grafana.tables import day, moment, number, table, text_of
from grafana.threshold_steps import steps
from grafana.value_mappings import OFF
from prometheus.health import AIDE, health

PAGE = "Whether the files of the system are as they were accepted."
NO_AIDE = "No AIDE in this range"
RESULTS = {0: ("failed", value_mappings.CRITICAL), 1: ("succeeded", value_mappings.PLAIN), -1: ("none", OFF)}


def page() -> Page:
    """The page."""
    aide = Page("grid-aide", PAGE, since="24h", refresh="5m")
    aide.band(4, state_stat(AIDE), stats(), widths=(6, 18))
    aide.band(5, checks(), database())
    aide.band(4, integrity())
    aide.heading("Findings over time", folded=True)
    aide.band(7, findings())
    aide.annotate(reboots(), alerts("aide"))
    return aide


def stats() -> Panel:
    """The last check in six values."""
    checked = "clamp_min(time() - min(grid_aide_last_check_timestamp_seconds{BOX}), 0)"
    accepted = "clamp_min(time() - min(grid_aide_accept_timestamp_seconds{BOX}), 0)"
    old, bad = steps(threshold_steps.AIDE_AGE), threshold_steps.CRITICAL_FROM_ONE
    return values_stat(
        "Findings now",
        "Files that differ from the accepted database, and how long ago they were checked and accepted.",
        (
            *(
                Value(change, f'sum(grid_aide_entries{{BOX, change="{change}"}})', "short", steps=bad)
                for change in ("added", "removed", "changed")
            ),
            Value("checked, ago", checked, "s", steps=old, decimals=1),
            Value("accepted, ago", accepted, "s", decimals=1),
            Value("took", "max(grid_aide_check_duration_seconds{BOX})", "s", decimals=1),
            absent(AIDE),
        ),
    )


def checks() -> Panel:
    """A row a box: its last check."""
    each = "max by (instance)"
    return table(
        "Last check",
        "When the files were checked, how the check ended, and how long it took.",
        moment("Checked", f"{each} (grid_aide_last_check_timestamp_seconds{{BOX}}) * 1000"),
        text_of("Check", f"{each} (grid_aide_check_success{{BOX}})", RESULTS, 88),
        number("Took", f"{each} (grid_aide_check_duration_seconds{{BOX}})", "s", least=74, decimals=1),
        empty="No AIDE now",
    )


def database() -> Panel:
    """A row a box: its acceptance and database."""
    each = "max by (instance)"
    accepted = (
        f"{each} (grid_aide_accept_success{{BOX}})"
        f" or {each} (grid_aide_last_check_timestamp_seconds{{BOX}}) * 0 - 1"
    )
    return table(
        "Acceptance and database",
        "When findings were accepted, and when the database was made that files are compared with.",
        day("Accepted", f"{each} (grid_aide_accept_timestamp_seconds{{BOX}}) * 1000"),
        text_of("Result", accepted, RESULTS, 88),
        day("Database", f"{each} (grid_aide_database_timestamp_seconds{{BOX}}) * 1000"),
        empty="No AIDE now",
    )


def integrity() -> Panel:
    """Each box's integrity."""
    return timeline(
        "Integrity over time",
        "The result of AIDE's last check at the time, a row a box.",
        over_time(health("aide", "BOX"), "{{instance}}"),
        texts=value_mappings.state_texts(),
        empty=NO_AIDE,
        row_height=0.6,
    )


def findings() -> Panel:
    """How many files differed."""
    return counts(
        "Findings",
        "Files that differed from the accepted database, by the last check at the time.",
        "short",
        over_time("sum by (instance, change) (grid_aide_entries{BOX})", "${who}{{change}}"),
        names=("added", "changed", "removed"),
        empty=NO_AIDE,
    )
