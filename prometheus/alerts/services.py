"""Alerts about systemd's services and timers."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import clock, count_over, latest, loop, over

FAILED = latest("grid_service_state", 'state="failed"')
INACTIVE = latest("grid_service_state", 'state="inactive"')
MISSING = latest("grid_service_state", 'state="not-found"')
ENABLED = latest("grid_service_enabled")
ALL_FAILED = latest("grid_systemd_failed_units")
DUE = latest("grid_systemd_timer_next_trigger_timestamp_seconds")
TRIGGERED = latest("grid_systemd_timer_last_trigger_timestamp_seconds")


def alerts() -> list[Alert]:
    """The services that are watched by name, every other unit, and timers."""
    return [*_down(), _restarting(), _others(), _timer()]


def _down() -> list[Alert]:
    return [
        Alert(
            name="GridServiceFailed",
            severity="critical",
            expr=f"{FAILED} == 1",
            wait=300,
            summary="{{ $labels.instance }}: {{ $labels.name }} has failed",
            description="{{ $labels.name }} ({{ $labels.category }}) on {{ $labels.instance }} has failed, "
            "and systemd does not try again.",
        ),
        Alert(
            name="GridServiceInactive",
            severity="warning",
            expr=f"{INACTIVE} == 1\nand on (job, instance, name) {ENABLED} == 1\nor {MISSING} == 1",
            wait=900,
            summary="{{ $labels.instance }}: {{ $labels.name }} is {{ $labels.state }}",
            description="{{ $labels.name }} ({{ $labels.category }}) on {{ $labels.instance }} is "
            "{{ $labels.state }} though it is to start at boot, or is watched by name.",
        ),
    ]


def _restarting() -> Alert:
    loops = loop("grid_service_restarts_total", t.SERVICE_RESTARTS, t.SERVICE_RESTARTS_SLOW)
    lately = over(t.SERVICE_RESTARTED_SECONDS, "grid_service_restarts_total")
    # One that systemd has given up is GridServiceFailed alone.
    failed = over(t.SERVICE_RESTARTED_SECONDS, "grid_service_state", 'state="failed"')
    return Alert(
        name="GridServiceRestarting",
        severity="warning",
        expr=f"{loops}\nand increase({lately}) > 0\n"
        f"unless on (job, instance, name) avg_over_time({failed}) > {t.SERVICE_FAILED_RATIO}",
        value=count_over(t.LOOP_SECONDS, "grid_service_restarts_total"),
        wait=300,
        keep=1800,
        summary="{{ $labels.instance }}: {{ $labels.name }} keeps restarting",
        description="systemd restarted {{ $labels.name }} ({{ $labels.category }}) on "
        "{{ $labels.instance }} {{ $value }} times within six hours.",
    )


def _others() -> Alert:
    watched = f"sum by (job, instance) ({FAILED})\n  or on (job, instance) {ALL_FAILED} * 0"
    return Alert(
        name="GridServiceUnitsFailed",
        severity="warning",
        # Without the services that are watched by name: those have an alert of their own.
        expr=f"{ALL_FAILED}\n- on (job, instance) (\n  {watched}\n)\n> 0",
        wait=900,
        summary="{{ $labels.instance }}: {{ $value }} other unit(s) have failed",
        description="{{ $value }} unit(s) of {{ $labels.instance }} have failed, besides those watched by "
        "name.",
    )


def _timer() -> Alert:
    return Alert(
        name="GridServiceTimerOverdue",
        severity="warning",
        # While what it started still runs, a timer's next trigger stays in the past: that one was kept.
        expr=f"{clock()}\n- on (job, instance) group_right () (\n  {DUE}\n  unless {TRIGGERED} >= {DUE}\n)\n"
        f"> {t.TIMER_OVERDUE_SECONDS}",
        wait=600,
        summary="{{ $labels.instance }}: {{ $labels.name }} is overdue",
        description="{{ $labels.name }} on {{ $labels.instance }} should have started its service "
        "{{ $value | humanizeDuration }} ago.",
    )
