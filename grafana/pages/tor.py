"""Tor: whether traffic leaves through it, and from where."""

from __future__ import annotations

from grafana import sdk, threshold_steps, value_mappings
from grafana.annotations import alerts, exit_changes, limited_to, reboots
from grafana.charts import label_timeline, lines, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, names_stat, state_stat, values_stat
from grafana.tables import moment, number, table, text
from grafana.threshold_steps import steps
from grafana.value_mappings import NO_VALUE
from prometheus.health import TOR

PAGE = "Whether traffic leaves through Tor, and from which exit."
NO_TOR = "No Tor in this range"
YES_NO = {0: ("no", value_mappings.CRITICAL), 1: ("yes", value_mappings.OK)}
EXITS = "timestamp(grid_tor_exit_info{BOX})[$__range:$__interval]"


def page() -> Page:
    """The page."""
    tor = Page("grid-tor", PAGE, since="24h", refresh="1m")
    tor.band(4, state_stat(TOR), address_now(), stats(), widths=(6, 7, 11))
    tor.band(4, exits())
    request = request_through_tor()
    tor.band(8, request, exits_table(), widths=(8, 16))
    tor.heading("Checks and traffic", folded=True)
    tor.band(7, answers(), traffic())
    tor.annotate(reboots(), alerts("tor"), limited_to(request, exit_changes()))
    return tor


def stats() -> Panel:
    """Tor in four values."""
    since = "clamp_min(time() - max(grid_tor_exit_changed_timestamp_seconds{BOX}), 0)"
    exits = "count(count by (address) (max_over_time(grid_tor_exit_info{BOX}[$__range])))"
    took = "max(grid_tor_check_duration_seconds{BOX})"
    started = ((0, value_mappings.WARNING), (1, value_mappings.PLAIN))
    return values_stat(
        "Exit and check",
        "The exit's age, the check's duration, the exits of the range, how far Tor has bootstrapped.",
        (
            Value("Exit since", since, "s", decimals=1),
            Value("Check took", took, "s", steps=steps(threshold_steps.TOR_REQUEST), decimals=1),
            Value("Exits", exits, "short"),
            Value("Bootstrapped", "min(grid_tor_bootstrap_ratio{BOX})", "percentunit", steps=started),
            absent(TOR),
        ),
    )


def address_now() -> Panel:
    """Where the boxes leave Tor: each address, where they differ."""
    return names_stat(
        "Exit address",
        "The address that the check page sees; of several boxes, three of them.",
        "topk(3, max by (address) (grid_tor_exit_info{BOX}))",
        "{{address}}",
        text="",
        empty=NO_VALUE,
        rows=True,
    )


def exits() -> Panel:
    """The exits over time."""
    return label_timeline(
        "Exit address over time",
        "The address that the check page saw; every bar is an exit, a row a box.",
        over_time("max by (instance, address) (grid_tor_exit_info{BOX})"),
        label="address",
        empty=NO_TOR,
    )


def exits_table() -> Panel:
    """A row an exit."""
    each = "by (instance, address)"
    counted = f"sum {each} (count_over_time(grid_tor_exit_info{{BOX}}[$__range:$__interval]))"
    panel = table(
        "Exits",
        "The exits of the range, the latest first: first and last seen, and how many hours in all.",
        text("Address", "address", least=94),
        moment("From", f"min {each} (min_over_time({EXITS})) * 1000", 88),
        moment("To", f"max {each} (max_over_time({EXITS})) * 1000", 88),
        number(
            "Hours",
            f"{counted} * $__interval_ms / 3600000",
            "none",
            56,
            decimals=1,
        ),
        worst_by="To",
        empty=NO_TOR,
    )
    # A minute's steps over a day took seconds for many boxes.
    panel.max_data_points = sdk.TIMELINE_POINTS
    return panel


def request_through_tor() -> Panel:
    """How slow Tor is."""
    return lines(
        "Request through Tor",
        "Duration of the check through Tor and back; dashed: slow.",
        "s",
        over_time("grid_tor_check_duration_seconds{BOX}", "${who}request"),
        names=("request",),
        dashed=threshold_steps.TOR_REQUEST,
        empty=NO_TOR,
    )


def answers() -> Panel:
    """The results of the checks."""
    return timeline(
        "Checks",
        "Whether Tor carries a request, the check sees Tor, a circuit is established, the probe succeeds.",
        over_time("grid_tor_up{BOX}", "${who}carries"),
        over_time("grid_tor_is_tor{BOX}", "${who}is Tor"),
        over_time("grid_tor_circuit_established{BOX}", "${who}circuit"),
        over_time('grid_probe_success{BOX, probe="tor"}', "${who}probe"),
        texts=YES_NO,
        empty=NO_TOR,
    )


def traffic() -> Panel:
    """What Tor carries."""
    rate = "sum by (instance, direction) (rate(grid_tor_traffic_bytes_total{BOX}[$__rate_interval]))"
    return lines(
        "Traffic",
        "Tor's own traffic; needs a control port.",
        "Bps",
        over_time(rate, "${who}{{direction}}"),
        names=("read", "written"),
        empty="No control port reported traffic in this range",
    )
