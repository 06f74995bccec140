"""Alerts about the exporter itself: whether it answers, and whether its probes succeed."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import GAP_SECONDS, clock, latest, over, series, span

SUCCEEDED = "grid_probe_last_success_timestamp_seconds"
AGE = f"{clock()}\n- on (job, instance) group_right ()\n{latest(SUCCEEDED)}"
LIFETIME = f"({latest('grid_probe_ttl_seconds')} + {latest('grid_probe_duration_seconds')})"

OWN = 'command=""'  # not a process that a command reports on


def alerts() -> list[Alert]:
    """A box that is down first, then probes that fail, lag or hang, then the exporter's configuration."""
    return [*_down(), *_probes(), _skewed(), *_configurations()]


def _down() -> list[Alert]:
    return [
        Alert(
            name="GridExporterDown",
            severity="critical",
            expr=f"{_silent()}\nor\n{_comes_and_goes('up')}",
            wait=300,  # longer than a reboot takes
            sometimes="warning",
            summary="{{ $labels.instance }} does not answer",
            description="{{ $labels.instance }} answered {{ $value | humanizePercentage }} of the scrapes "
            "of the last minutes. Until it answers, nothing is known about it.",
        ),
        Alert(
            name="GridExporterAbsent",
            severity="critical",
            expr=f"absent({series('up')})",
            wait=600,
            summary="Prometheus watches no box",
            description="Prometheus has no target of a job grid*: its list of boxes is empty or can't be "
            "read. No other alert can fire.",
            page="grid-fleet",
        ),
        Alert(
            name="GridExporterRestarting",
            severity="warning",
            expr=f"changes({over(3600, 'process_start_time_seconds', OWN)}) > {t.EXPORTER_RESTARTS}",
            keep=1800,
            value=f"changes({over(3600, 'process_start_time_seconds', OWN)})",
            summary="{{ $labels.instance }}: grid-exporter keeps restarting",
            description="grid-exporter on {{ $labels.instance }} started {{ $value }} times within the "
            "last hour.",
        ),
    ]


def _silent() -> str:
    """Where no scrape of two minutes succeeded, across a gap in which nothing was scraped."""
    return f"{latest('up')} == 0\nunless max_over_time({over(120, 'up')}) == 1"


def _comes_and_goes(name: str) -> str:
    """Where this is 0 for much of the time and 1 again and again: one alert, and not one for each time."""
    long = over(t.FLAPS_SECONDS, name)
    return f"avg_over_time({long}) < {t.FLAPS_RATIO} and changes({long}) > {t.FLAPS}"


def _probes() -> list[Alert]:
    return [
        Alert(
            name="GridProbeFailing",
            severity="warning",
            expr=f"avg_over_time({over(900, 'grid_probe_success')}) < {t.PROBE_SUCCESS_RATIO}\n"
            f"or\n{_comes_and_goes('grid_probe_success')}",
            wait=600,  # GridGpuGone comes first
            summary="{{ $labels.instance }}: the probe {{ $labels.probe }} fails",
            description="The probe {{ $labels.probe }} of {{ $labels.instance }} worked for "
            "{{ $value | humanizePercentage }} of the last 15 minutes, or 2 hours. The state of what it "
            "watches is unknown: the exporter's status page has the reason.",
        ),
        Alert(
            name="GridProbeStale",
            severity="warning",
            expr=f"{AGE}\n> {t.PROBE_FORSAKEN_LIFETIMES} * {LIFETIME} + {t.PROBE_FORSAKEN_GRACE_SECONDS}",
            wait=900,  # GridProbeFailing comes first
            summary="{{ $labels.instance }}: the values of probe {{ $labels.probe }} are old",
            description="The probe {{ $labels.probe }} of {{ $labels.instance }} last succeeded "
            "{{ $value | humanizeDuration }} ago, far longer than its ttl and its runs take.",
        ),
        Alert(
            name="GridProbeStuck",
            severity="warning",
            expr=f"{latest('grid_probe_stuck')} == 1",
            wait=300,
            keep=600,  # the average of GridProbeFailing lags as long
            value=latest("grid_probe_stuck"),
            summary="{{ $labels.instance }}: the probe {{ $labels.probe }} is stuck",
            description="A process of the probe {{ $labels.probe }} on {{ $labels.instance }} can't be "
            "killed: it waits for a driver or a file system that doesn't answer. Until it is gone the probe "
            "does not run.",
        ),
    ]


def _skewed() -> Alert:
    # The freshest probe has the least age; one that fails has stopped its clock.
    ticking = (
        f"{series(SUCCEEDED)} - timestamp({series(SUCCEEDED)})\n"
        f"  and {series('grid_probe_success')} == 1\n"
        f"  and {series('grid_probe_ttl_seconds')} <= {t.CLOCK_TTL_SECONDS}"
    )
    skew = f"last_over_time(max by (job, instance) (\n  {ticking}\n)[{span(GAP_SECONDS)}:1m])"
    return Alert(
        name="GridClockSkew",
        severity="warning",
        expr=f"abs({skew})\n> {t.CLOCK_SKEW_SECONDS}",
        wait=300,
        summary="{{ $labels.instance }}: its clock differs by {{ $value | humanizeDuration }}",
        description="The clock of {{ $labels.instance }} and that of Prometheus differ by "
        "{{ $value | humanizeDuration }}. Certificates, tokens and timers go wrong, and times that the "
        "dashboards show.",
    )


def _configurations() -> list[Alert]:
    return [
        Alert(
            name="GridConfigReloadFailed",
            severity="warning",
            expr=f"{latest('grid_exporter_config_last_reload_successful')} == 0",
            wait=300,
            summary="{{ $labels.instance }}: grid-exporter refused its configuration",
            description="The configuration file of grid-exporter on {{ $labels.instance }} has an error. The "
            "one before is still active, but the exporter would not start again.",
        ),
        Alert(
            name="GridWebConfigReloadFailed",
            severity="warning",
            expr=f"{latest('grid_exporter_web_config_last_reload_successful')} == 0",
            wait=300,
            summary="{{ $labels.instance }}: grid-exporter refused its web configuration",
            description="The file that says who may scrape grid-exporter on {{ $labels.instance }}, or one "
            "that it names, can't be used. What was there before is still active: a password or token "
            "that was taken out of it still opens.",
        ),
    ]
