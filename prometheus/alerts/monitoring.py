"""Alerts about Prometheus and Alertmanager themselves, and the one that always fires.

They read what the jobs prometheus and alertmanager of the shipped prometheus.yml scrape.
"""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import GAP_SECONDS, span

PROMETHEUS = 'job="prometheus"'
ALERTMANAGER = 'job="alertmanager"'
ALL_BOXES = "grid-fleet"  # these are about no box


def alerts() -> list[Alert]:
    """The watchdog, then whatever keeps alerts from firing or from being sent."""
    return [_watchdog(), _no_alertmanager(), _notifications(), _rules(), _reload()]


def _watchdog() -> Alert:
    return Alert(
        name="GridWatchdog",
        severity="none",
        expr="vector(1)",
        summary="Alerts are evaluated and sent",
        description="This alert always fires. Where it stops to arrive, Prometheus, Alertmanager or their "
        "machine is down, and no other alert arrives either.",
        page=ALL_BOXES,
    )


def _no_alertmanager() -> Alert:
    found = _latest("prometheus_notifications_alertmanagers_discovered", PROMETHEUS)
    return Alert(
        name="GridAlertmanagerDown",
        severity="critical",
        expr=f"{_latest('up', ALERTMANAGER)} == 0\nor {found} == 0",
        wait=300,
        summary="Prometheus has no Alertmanager ({{ $labels.instance }})",
        description="By what is known at {{ $labels.instance }}, no Alertmanager answers: no alert reaches "
        "anybody, this one included.",
        page=ALL_BOXES,
    )


def _notifications() -> Alert:
    failed = f"alertmanager_notifications_failed_total{{{ALERTMANAGER}}}[15m]"
    return Alert(
        name="GridNotificationsFailing",
        severity="critical",
        # One failure is no news: Alertmanager sends it again five minutes later.
        expr=f"sum by (job, instance, integration) (round(increase({failed}))) > {t.NOTIFICATIONS_FAILED}",
        summary="Alertmanager can't send by {{ $labels.integration }}",
        description="{{ $value }} notifications by {{ $labels.integration }} failed within a quarter of an "
        "hour at {{ $labels.instance }}: whoever they are for knows nothing of these alerts.",
        page=ALL_BOXES,
    )


def _rules() -> Alert:
    failures = f"prometheus_rule_evaluation_failures_total{{{PROMETHEUS}}}[15m]"
    return Alert(
        name="GridRulesFailing",
        severity="warning",
        expr=f"sum by (job, instance, rule_group) (round(increase({failures}))) > 0",
        wait=300,
        summary="Rules of {{ $labels.rule_group }} fail",
        description="{{ $value }} evaluations of {{ $labels.rule_group }} at {{ $labels.instance }} failed "
        "within a quarter of an hour. Its alerts can't fire, or its recorded series have gaps.",
        page=ALL_BOXES,
    )


def _reload() -> Alert:
    prometheus = _latest("prometheus_config_last_reload_successful", PROMETHEUS)
    alertmanager = _latest("alertmanager_config_last_reload_successful", ALERTMANAGER)
    return Alert(
        name="GridMonitoringReloadFailed",
        severity="warning",
        expr=f"{prometheus} == 0\nor {alertmanager} == 0",
        wait=300,
        summary="The configuration of {{ $labels.job }} ({{ $labels.instance }}) was refused",
        description="The {{ $labels.job }} at {{ $labels.instance }} goes on with its configuration of "
        "before: what was changed since is not active, and after a restart it would not come up.",
        page=ALL_BOXES,
    )


def _latest(name: str, job: str) -> str:
    """Each series' last value, across a gap in the scrapes."""
    return f"last_over_time({name}{{{job}}}[{span(GAP_SECONDS)}])"
