"""Each domain's conditions in PromQL, worst first, with the alerts' thresholds.

In every selector ``{BOX`` stands for the matchers that choose the boxes.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus import states
from prometheus.expressions import CARD_MEMORY_USED, DISK_AVAILABLE, MEMORY_AVAILABLE
from prometheus.states import State
from prometheus.thresholds import (
    AIDE_OVERDUE_SECONDS,
    CONTAINER_RESTARTS,
    CONTAINER_RESTARTS_WINDOW_SECONDS,
    DISK_FILLING_RATIO,
    DISK_FULL_RATIO,
    DISK_FULL_WITHIN_SECONDS,
    DISK_LOW_RATIO,
    DISK_PACE_SECONDS,
    GPU_GONE_WINDOW_SECONDS,
    GPU_HOT_CELSIUS,
    GPU_MEMORY_FULL_RATIO,
    MEMORY_LOW_RATIO,
    MEMORY_NEARLY_OUT_RATIO,
    MEMORY_STALLED_RATIO,
    TIMER_OVERDUE_SECONDS,
)


class Link(NamedTuple):
    """One condition: the ``worst`` (max or min) of a box's series of ``promql`` ``holds``: it is ``state``.

    What is left are the labels job and instance alone, so that the links of a chain fit each other.
    """

    worst: str
    promql: str
    holds: str
    state: State

    def __str__(self) -> str:
        return f"({self.worst} by (job, instance) ({self.promql}) {self.holds}) * 0 + {self.state.code}"


def _full_at_the_pace_of(seconds: int) -> str:
    """What would be available, below nothing, some days ahead at the pace of the last ``seconds``."""
    past = f"grid_filesystem_avail_bytes{{BOX}}[{seconds}s]"
    return f"predict_linear({past}, {DISK_FULL_WITHIN_SECONDS}) < 0"


GPUS_MISSING = f"max_over_time(grid_gpus{{BOX}}[{GPU_GONE_WINDOW_SECONDS}s]) - grid_gpus{{BOX}}"
# The last hour must agree: one download, long finished, bends the slope of six hours.
FILLING = " and ".join(
    (
        _full_at_the_pace_of(DISK_PACE_SECONDS),
        _full_at_the_pace_of(3600),
        f"{DISK_AVAILABLE} < {DISK_FILLING_RATIO}",
    )
)
RESTARTED = f"round(increase(grid_container_restarts_total{{BOX}}[{CONTAINER_RESTARTS_WINDOW_SECONDS}s]))"
# Down though its restart policy says run; one series a container on each side, so that they always fit.
EXITED = 'max by (job, instance, container) (grid_container_state{BOX, state="exited"})'
KEPT_RUNNING = (
    'max by (job, instance, container) (grid_container_info{BOX, restart_policy=~"always|unless-stopped"})'
)
RETRIES_USED_UP = (
    'max by (job, instance, container) (grid_container_info{BOX, restart_policy=~"on-failure.*"})'
    " * max by (job, instance, container) (grid_container_exit_code{BOX} != bool 0)"
)
STOPPED_CONTAINER = f"{EXITED} * ({KEPT_RUNNING} or {RETRIES_USED_UP})"
STOPPED_SERVICE = (
    'max by (job, instance, name) (grid_service_state{BOX, state="inactive"})'
    " * max by (job, instance, name) (grid_service_enabled{BOX})"
)
TIMER = "grid_systemd_timer_{}_trigger_timestamp_seconds{{BOX}}"
# While what it started still runs, a timer's next trigger stays in the past: that one is not overdue.
TIMER_DUE = f"{TIMER.format('next')} unless {TIMER.format('last')} >= {TIMER.format('next')}"
CHECKED = "grid_aide_last_check_timestamp_seconds{BOX}"
NEVER_CHECKED = f'grid_probe_success{{BOX, probe="aide"}} unless on (job, instance) {CHECKED}'

CONDITIONS = {
    "gpu": (
        Link("max", GPUS_MISSING, "> 0", states.GONE),
        Link("max", 'grid_gpu_ecc_errors_total{BOX, kind="uncorrected"}', "> 0", states.ECC_ERRORS),
        Link("max", "grid_gpu_temperature_celsius{BOX}", f">= {GPU_HOT_CELSIUS}", states.HOT),
        Link(
            "max",
            'grid_gpu_throttle_active{BOX, reason=~".*thermal.*|hw_.*"}',
            "> 0",
            states.THROTTLED,
        ),
        Link("max", CARD_MEMORY_USED, f"> {GPU_MEMORY_FULL_RATIO}", states.MEMORY_FULL),
    ),
    "host": (
        Link("min", MEMORY_AVAILABLE, f"< {MEMORY_NEARLY_OUT_RATIO}", states.NEARLY_OUT),
        Link("min", MEMORY_AVAILABLE, f"< {MEMORY_LOW_RATIO}", states.LOW),
        Link(
            "max",
            'rate(grid_pressure_stalled_seconds_total{BOX, resource="memory"}[5m])',
            f"> {MEMORY_STALLED_RATIO}",
            states.STALLING,
        ),
    ),
    "disk": (
        Link("min", DISK_AVAILABLE, f"< {DISK_FULL_RATIO}", states.FULL),
        Link("min", DISK_AVAILABLE, f"< {DISK_LOW_RATIO}", states.LOW_SPACE),
        Link("min", FILLING, "< 0", states.FILLING),
        Link("max", "grid_directory_scan_errors{BOX}", "> 0", states.SCAN_ERRORS),
    ),
    "tor": (
        Link("min", "grid_tor_up{BOX}", "== 0", states.TOR_DOWN),
        Link("min", "grid_tor_is_tor{BOX}", "== 0", states.NOT_TOR),
    ),
    "containers": (
        Link("min", "grid_container_engine_up{BOX}", "== 0", states.ENGINE_DOWN),
        Link("max", 'grid_container_state{BOX, state=~"restarting|dead"}', "> 0", states.RESTARTS),
        Link("max", RESTARTED, f"> {CONTAINER_RESTARTS}", states.RESTARTS),
        Link("max", 'grid_container_health{BOX, health="unhealthy"}', "> 0", states.UNHEALTHY),
        Link("max", STOPPED_CONTAINER, "> 0", states.STOPPED),
    ),
    "services": (
        Link("max", 'grid_service_state{BOX, state="failed"}', "> 0", states.FAILED),
        Link("max", "grid_systemd_failed_units{BOX}", "> 0", states.FAILED),
        Link("min", TIMER_DUE, f"< time() - {TIMER_OVERDUE_SECONDS}", states.OVERDUE),
        Link("max", STOPPED_SERVICE, "> 0", states.STOPPED),
    ),
    "aide": (
        Link("min", "grid_aide_check_success{BOX}", "== 0", states.CHECK_FAILED),
        Link("min", "grid_aide_clean{BOX}", "== 0", states.FINDINGS),
        Link("max", CHECKED, f"< time() - {AIDE_OVERDUE_SECONDS}", states.OVERDUE),
        Link("max", NEVER_CHECKED, "== 1", states.NOT_CHECKED),
    ),
    "exporter": (
        Link("min", "grid_exporter_config_last_reload_successful{BOX}", "== 0", states.BAD_CONFIG),
        Link("max", "grid_probe_stuck{BOX}", "== 1", states.STUCK),
        Link("min", "grid_probe_success{BOX}", "== 0", states.PROBE_FAILING),
        Link("max", "up{BOX}", "== 1", states.OK),
    ),
}
