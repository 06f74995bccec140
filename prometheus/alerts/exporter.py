"""Alerts about the exporter itself: whether it answers, and whether its probes succeed."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import latest, over, series

AGE = f"time() - {latest('grid_probe_last_success_timestamp_seconds')}"
LIFETIME = f"({latest('grid_probe_ttl_seconds')} + {latest('grid_probe_duration_seconds')})"

OWN = 'command=""'  # not a process that a command reports on


def alerts() -> list[Alert]:
    """A box that is down first, then probes that fail, lag or hang, then the exporter's configuration."""
    return [*_down(), *_probes(), *_configurations()]


def _down() -> list[Alert]:
    return [
        Alert(
            name="GridExporterDown",
            severity="critical",
            # A share and not up == 0, so that a box which answers now and then is found too. A share lags:
            # after a reboot the box is back, while a flapping one has failed again since.
            expr=f"{_answers_seldom(300, 60)}\nor {_answers_seldom(1800, 300)}",
            wait=180,
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
            summary="{{ $labels.instance }}: grid-exporter keeps restarting",
            description="grid-exporter on {{ $labels.instance }} started {{ $value }} times within the "
            "last hour.",
        ),
    ]


def _answers_seldom(seconds: int, recent: int) -> str:
    """Where few scrapes of so many seconds succeeded, and one of the last ``recent`` seconds failed."""
    seldom = f"avg_over_time({over(seconds, 'up')}) < {t.EXPORTER_ANSWERED_RATIO}"
    return f"{seldom} and min_over_time({over(recent, 'up')}) == 0"


def _probes() -> list[Alert]:
    return [
        Alert(
            name="GridProbeFailing",
            severity="warning",
            expr=f"avg_over_time({over(900, 'grid_probe_success')}) < {t.PROBE_SUCCESS_RATIO}",
            wait=300,
            summary="{{ $labels.instance }}: the probe {{ $labels.probe }} fails",
            description="The probe {{ $labels.probe }} of {{ $labels.instance }} worked for "
            "{{ $value | humanizePercentage }} of the last 15 minutes. The state of what it watches is "
            "unknown: the exporter's status page has the reason.",
        ),
        Alert(
            name="GridProbeStale",
            severity="warning",
            expr=f"{AGE}\n> {t.PROBE_FORSAKEN_LIFETIMES} * {LIFETIME} + {t.PROBE_FORSAKEN_GRACE_SECONDS}",
            wait=600,
            summary="{{ $labels.instance }}: the values of probe {{ $labels.probe }} are old",
            description="The probe {{ $labels.probe }} of {{ $labels.instance }} last succeeded "
            "{{ $value | humanizeDuration }} ago, far longer than its ttl and its runs take.",
        ),
        Alert(
            name="GridProbeStuck",
            severity="warning",
            expr=f"{latest('grid_probe_stuck')} == 1",
            wait=300,
            summary="{{ $labels.instance }}: the probe {{ $labels.probe }} is stuck",
            description="A process of the probe {{ $labels.probe }} on {{ $labels.instance }} can't be "
            "killed: it waits for a driver or a file system that doesn't answer. Until it is gone the probe "
            "does not run.",
        ),
    ]


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
