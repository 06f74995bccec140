"""Alerts about containers, their engine and what updates them."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import count_over, latest, loop, over, series

ITSELF = "on (job, instance, container)"
STOPPED = latest("grid_container_state", 'state=~"created|exited|dead"')
RUNNING = latest("grid_container_state", 'state="running"')
UNHEALTHY = latest("grid_container_health", 'health="unhealthy"')
SHOULD_RUN = latest("grid_container_info", 'restart_policy=~"always|unless-stopped"')
# Down with an error although it is retried: the retries are used up.
RETRIED = latest("grid_container_info", 'restart_policy="on-failure"')
FAILED = f"{latest('grid_container_exit_code')} != 0"
# Removed since: the engine answers and no longer lists it. A failed scrape does not count as an answer.
INFO = "grid_container_info"
REMOVED = (
    f"{latest(INFO)}\n  and on (job, instance) {series('grid_container_engine_up')} == 1\n"
    f"  unless {ITSELF} {series(INFO)}"
)
# The kill shows for a moment only where a restart follows at once.
OOM_KILLED = over(900, "grid_container_oom_killed")
WATCHED = latest("grid_container_watchtower_enabled")
WATCHTOWER = latest("grid_watchtower_up")


def alerts() -> list[Alert]:
    """The engine first, then containers that are down or unwell, then Watchtower."""
    return [_engine(), *_states(), *_events(), *_watchtower()]


def _engine() -> Alert:
    return Alert(
        name="GridContainerEngineDown",
        severity="critical",
        expr=f"{latest('grid_container_engine_up')} == 0",
        wait=300,
        summary="{{ $labels.instance }}: the container engine does not answer",
        description="Docker or Podman on {{ $labels.instance }} does not answer. Its containers may still "
        "run, but nothing restarts or updates them.",
    )


def _states() -> list[Alert]:
    return [
        Alert(
            name="GridContainerDown",
            severity="warning",
            expr=f"max by (job, instance, container) ({STOPPED}) == 1\n"
            f"and {ITSELF} (\n  {SHOULD_RUN}\n  or {RETRIED}\n  and {ITSELF} {FAILED}\n)\n"
            f"unless {ITSELF} (\n  {REMOVED}\n)",
            wait=600,
            summary="{{ $labels.instance }}: container {{ $labels.container }} is down",
            description="Container {{ $labels.container }} on {{ $labels.instance }} is down though its "
            "restart policy says that it should run.",
        ),
        Alert(
            name="GridContainerUnhealthy",
            severity="warning",
            # As long as a large model may take to load after a restart.
            expr=f"{UNHEALTHY} == 1",
            wait=900,
            keep=2700,
            value=UNHEALTHY,
            summary="{{ $labels.instance }}: container {{ $labels.container }} is unhealthy",
            description="The health check of container {{ $labels.container }} on {{ $labels.instance }} "
            "fails.",
        ),
    ]


def _events() -> list[Alert]:
    loops = loop("grid_container_restarts_total", t.CONTAINER_RESTARTS, t.CONTAINER_RESTARTS_SLOW)
    lately = over(t.CONTAINER_RESTARTED_SECONDS, "grid_container_restarts_total")
    return [
        Alert(
            name="GridContainerRestarting",
            severity="warning",
            expr=f"{loops}\nand increase({lately}) > 0",
            value=count_over(t.LOOP_SECONDS, "grid_container_restarts_total"),
            keep=1800,
            summary="{{ $labels.instance }}: container {{ $labels.container }} keeps restarting",
            description="The engine restarted container {{ $labels.container }} on {{ $labels.instance }} "
            "{{ $value }} times within six hours.",
        ),
        Alert(
            name="GridContainerOomKilled",
            severity="warning",
            expr=f"max_over_time({OOM_KILLED}) == 1",
            keep=3600,
            value=f"max_over_time({OOM_KILLED})",
            summary="{{ $labels.instance }}: container {{ $labels.container }} ran out of memory",
            description="The kernel killed container {{ $labels.container }} on {{ $labels.instance }}, "
            "which ran out of memory: it reached its own limit, or the box had none left.",
        ),
    ]


def _watchtower() -> list[Alert]:
    return [
        Alert(
            name="GridContainerWatchtowerDown",
            severity="warning",
            expr=f"{WATCHTOWER} == 0",
            wait=1800,
            summary="{{ $labels.instance }}: Watchtower does not run",
            description="The Watchtower of {{ $labels.instance }} does not run: no container there is "
            "updated.",
        ),
        Alert(
            name="GridContainerUnwatched",
            severity="info",
            expr=f"{WATCHED} == 0\nand {ITSELF} {RUNNING} == 1\nand on (job, instance) {WATCHTOWER} == 1",
            wait=6 * 3600,
            summary="{{ $labels.instance }}: container {{ $labels.container }} is not updated",
            description="Watchtower runs on {{ $labels.instance }} but does not update container "
            "{{ $labels.container }}: a label, a name, a scope, a pinned image or monitor-only keeps it from "
            "that.",
        ),
    ]
