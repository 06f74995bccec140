"""Tor & integrity: whether traffic leaves through Tor, from where, and whether files are as they were."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.annotations import alerts, exit_changes, limited_to, reboots
from grafana.charts import counts, label_timeline, lines, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import label_stat, state_stat, value_stat
from grafana.threshold_steps import steps
from prometheus.health import AIDE, TOR, health

PAGE = "Whether traffic leaves through Tor, from which exit, and whether the files are as they were."
NO_TOR = "No Tor seen in this range"
NO_AIDE = "No AIDE seen in this range"
YES_NO = {0: ("no", value_mappings.CRITICAL), 1: ("yes", value_mappings.OK)}


def page() -> Page:
    """The page."""
    tor = Page("grid-tor", PAGE, since="24h", refresh="1m")
    tor.heading("Tor")
    tor.band(4, state_stat(TOR, size=26), *tor_stats(), widths=(4, 5, 3, 4, 4, 4))
    tor.band(4, exits())
    request = request_through_tor()
    tor.band(7, request, answers(), traffic())
    tor.heading("Integrity (AIDE)")
    tor.band(4, state_stat(AIDE, size=26), *aide_stats(), widths=(4, 3, 3, 3, 4, 4, 3))
    tor.band(5, integrity(), findings())
    tor.annotate(
        reboots(),
        alerts("tor|aide"),
        limited_to(request, exit_changes()),
    )
    return tor


def tor_stats() -> list[Panel]:
    """The way out in five values."""
    address = "max by (address) (grid_tor_exit_info{BOX})"
    since = "time() - max(grid_tor_exit_changed_timestamp_seconds{BOX})"
    took = "max(grid_tor_check_duration_seconds{BOX})"
    seen = "count(count by (address) (max_over_time(grid_tor_exit_info{BOX}[$__range])))"
    started = "min(grid_tor_bootstrap_ratio{BOX})"
    return [
        label_stat("Exit address", "Where the world sees this box.", address, "address", size=24),
        value_stat("Since", "Since the exit last changed.", since, "s", decimals=1, size=26),
        value_stat(
            "Request took",
            "How long a request took through Tor to the check page and back.",
            took,
            "s",
            *steps(threshold_steps.TOR_REQUEST),
            decimals=1,
            size=26,
        ),
        value_stat("Exits seen", "Different exits in the chosen range.", seen, size=26),
        value_stat(
            "Bootstrapped",
            "How far Tor has started, as reported on its control port.",
            started,
            "percentunit",
            (0, value_mappings.WARNING),
            (1, value_mappings.PLAIN),
            empty="No control port",
            size=26,
        ),
    ]


def exits() -> Panel:
    """The exits, one after the other."""
    return label_timeline(
        "Exit address over time",
        "The address that the check page saw; every bar is an exit, a row_height a box.",
        over_time("max by (instance, address) (grid_tor_exit_info{BOX})"),
        label="address",
        empty=NO_TOR,
    )


def request_through_tor() -> Panel:
    """How slow the way out is."""
    return lines(
        "Request through Tor",
        "How long a request took through Tor to the check page and back; the dashed line: slow.",
        "s",
        over_time("grid_tor_check_duration_seconds{BOX}", "${who}request"),
        names=("request",),
        dashed=threshold_steps.TOR_REQUEST,
        empty=NO_TOR,
    )


def answers() -> Panel:
    """Where the way out ends."""
    return timeline(
        "Answers",
        "Whether Tor carries a request, the check page sees Tor, a circuit stands, the probe found out.",
        over_time("grid_tor_up{BOX}", "${who}carries"),
        over_time("grid_tor_is_tor{BOX}", "${who}is Tor"),
        over_time("grid_tor_circuit_established{BOX}", "${who}circuit"),
        over_time('grid_probe_success{BOX, probe="tor"}', "${who}found out"),
        texts=YES_NO,
        empty=NO_TOR,
    )


def traffic() -> Panel:
    """What Tor carries."""
    carried = "sum by (instance, direction) (rate(grid_tor_traffic_bytes_total{BOX}[$__rate_interval]))"
    return lines(
        "Traffic",
        "Tor's own traffic; needs a control port.",
        "Bps",
        over_time(carried, "${who}{{direction}}"),
        names=("read", "written"),
        empty="No control port reported traffic in this range",
    )


def aide_stats() -> list[Panel]:
    """The last check in six values."""
    checked = "time() - min(grid_aide_last_check_timestamp_seconds{BOX})"
    accepted = "time() - min(grid_aide_accept_timestamp_seconds{BOX})"
    took = "max(grid_aide_check_duration_seconds{BOX})"
    old = steps(threshold_steps.AIDE_AGE)
    return [
        *(differing(change) for change in ("added", "removed", "changed")),
        value_stat(
            "Checked, ago",
            "Since the last check; of the box checked longest ago.",
            checked,
            "s",
            *old,
            decimals=1,
        ),
        value_stat(
            "Accepted, ago", "Since findings were last accepted.", accepted, "s", decimals=1, empty="never"
        ),
        value_stat("Check took", "How long the last check took.", took, "s", decimals=1),
    ]


def differing(change: str) -> Panel:
    """How many files differ in one way."""
    found = f'sum(grid_aide_entries{{BOX, change="{change}"}})'
    description = f"Files {change} since the database was accepted, by the last check."
    return value_stat(
        change.capitalize(), description, found, "short", *threshold_steps.CRITICAL_FROM_ONE, size=26
    )


def integrity() -> Panel:
    """Each box's integrity."""
    return timeline(
        "Integrity over time",
        "What AIDE's last check said at the time, a row_height a box.",
        over_time(health("aide"), "{{instance}}"),
        texts=value_mappings.state_texts(absent="No AIDE"),
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
