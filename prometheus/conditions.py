"""Each domain's conditions in PromQL, worst first, with the alerts' thresholds.

In every selector ``{BOX`` stands for the matchers that choose the boxes.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus import states
from prometheus.expressions import (
    DISK_AVAILABLE,
    GPU_MEMORY_USED_RATIO,
    MEMORY_AVAILABLE,
    THROTTLED_BY_HARDWARE,
)
from prometheus.states import State
from prometheus.thresholds import (
    AIDE_OVERDUE_SECONDS,
    CONTAINER_RESTARTED_SECONDS,
    CONTAINER_RESTARTS,
    CONTAINER_RESTARTS_SLOW,
    DISK_FILLING_RATIO,
    DISK_FULL_BYTES,
    DISK_FULL_RATIO,
    DISK_FULL_WITHIN_SECONDS,
    DISK_LOW_BYTES,
    DISK_LOW_RATIO,
    DISK_PACE_LEAST_SECONDS,
    DISK_PACE_SECONDS,
    GPU_GONE_WINDOW_SECONDS,
    GPU_HOT_CELSIUS,
    GPU_MEMORY_FULL_RATIO,
    LLM_QUEUE_GROWTH,
    LOOP_SECONDS,
    MEMORY_LOW_BYTES,
    MEMORY_LOW_RATIO,
    MEMORY_NEARLY_OUT_BYTES,
    MEMORY_NEARLY_OUT_RATIO,
    MEMORY_STALLED_RATIO,
    TIMER_OVERDUE_SECONDS,
)


class Condition(NamedTuple):
    """A state and the PromQL of the series that are in it.

    by: the label that names what is affected; ``name`` is how a person reads it, such as ``GPU $1``.
    """

    state: State
    promql: str
    by: str = ""
    name: str = ""

    def code(self) -> str:
        """PromQL: the state's code for each box and each value of ``by`` for which the condition holds."""
        labels = ", ".join(filter(None, ("job", "instance", self.by)))
        return f"group by ({labels}) ({self.promql}) * {self.state.code}"

    def reason(self) -> str:
        """The same with a label ``reason``: the state's text and the name of what is affected."""
        text = " · ".join(filter(None, (self.state.text, self.name or ("$1" if self.by else ""))))
        return f'label_replace({self.code()}, "reason", "{text}", "{self.by}", "(.*)")'


def _memory_below(ratio: float, floor: float) -> str:
    """Boxes with less memory available than a share of it, and than so many bytes."""
    return f"{MEMORY_AVAILABLE} < {ratio} and grid_memory_available_bytes{{BOX}} < {floor:.0f}"


def _disk_below(ratio: float, floor: float) -> str:
    """File systems with less available than a share of their size, and than so many bytes."""
    return f"{DISK_AVAILABLE} < {ratio} and grid_filesystem_avail_bytes{{BOX}} < {floor:.0f}"


def _full_within_days(seconds: int) -> str:
    """File systems that will be full within days at the pace of the last ``seconds``."""
    past = f"grid_filesystem_avail_bytes{{BOX}}[{seconds}s]"
    return f"predict_linear({past}, {DISK_FULL_WITHIN_SECONDS}) < 0"


# Not a GPU that is part of a processor, as in the alert.
HOT = (
    f"grid_gpu_temperature_celsius{{BOX}} >= {GPU_HOT_CELSIUS}"
    " unless (grid_gpu_gtt_total_bytes{BOX} unless grid_gpu_power_limit_watts{BOX})"
)
# Fewer than their owner says there are; where nobody says, fewer than there were.
GPUS_EXPECTED = "grid_gpus_expected{BOX}"
GPUS_MISSING = (
    f"({GPUS_EXPECTED} - on (job, instance) sum by (job, instance) (grid_gpus{{BOX}}) > 0"
    f" or (max_over_time(grid_gpus{{BOX}}[{GPU_GONE_WINDOW_SECONDS}s:10m]) - grid_gpus{{BOX}} > 0)"
    f" unless on (job, instance) {GPUS_EXPECTED})"
)
# The last hour must agree, because a finished download bends the slope of six hours; and there must be an
# hour to look back on, because minutes are too short for days.
FILLING = " and ".join(
    (
        _full_within_days(DISK_PACE_SECONDS),
        _full_within_days(DISK_PACE_LEAST_SECONDS),
        f"{DISK_AVAILABLE} < {DISK_FILLING_RATIO}",
        f"grid_filesystem_avail_bytes{{BOX}} offset {DISK_PACE_LEAST_SECONDS}s",
    )
)
RESTARTED = (
    f"(round(increase(grid_container_restarts_total{{BOX}}[1h])) > {CONTAINER_RESTARTS}"
    f" or round(increase(grid_container_restarts_total{{BOX}}[{LOOP_SECONDS}s])) > {CONTAINER_RESTARTS_SLOW})"
    f" and increase(grid_container_restarts_total{{BOX}}[{CONTAINER_RESTARTED_SECONDS}s]) > 0"
)
# An increase outlives the last scrape; a container that is no longer scraped is no problem any more.
SCRAPED = "on (job, instance, container) grid_container_info{BOX}"
# Down, though its restart policy is to run; one series a container on each side, so that they always fit.
EXITED = 'max by (job, instance, container) (grid_container_state{BOX, state="exited"})'
KEPT_RUNNING = (
    'max by (job, instance, container) (grid_container_info{BOX, restart_policy=~"always|unless-stopped"})'
)
RETRIES_USED_UP = (
    'max by (job, instance, container) (grid_container_info{BOX, restart_policy=~"on-failure.*"})'
    " * max by (job, instance, container) (grid_container_exit_code{BOX} != bool 0)"
)
STOPPED_CONTAINER = f"{EXITED} * ({KEPT_RUNNING} or {RETRIES_USED_UP})"
FAILED_SERVICE = 'grid_service_state{BOX, state="failed"} > 0'
NAMED = f"on (job, instance) ({FAILED_SERVICE})"
STOPPED_SERVICE = (
    'max by (job, instance, name) (grid_service_state{BOX, state="inactive"})'
    " * max by (job, instance, name) (grid_service_enabled{BOX})"
)
TIMER = "grid_systemd_timer_{}_trigger_timestamp_seconds{{BOX}}"
# While what it started still runs, a timer's next trigger stays in the past: that one is not overdue.
CLOCK = "max by (job, instance) (grid_probe_last_success_timestamp_seconds{BOX})"
TIMER_DUE = f"{TIMER.format('next')} unless {TIMER.format('last')} >= {TIMER.format('next')}"
MEMORY_STALLED = 'rate(grid_pressure_stalled_seconds_total{BOX, resource="memory"}[5m])'
RELOAD_FAILED = (
    "grid_exporter_config_last_reload_successful{BOX} == 0"
    " or grid_exporter_web_config_last_reload_successful{BOX} == 0"
)
LLM_DOWN = (
    "grid_llm_up{BOX} == 0 and on (job, instance, server)"
    ' grid_llm_read_error{BOX, reason=~"refused|timeout"} == 1'
)
LLM_WAITING = 'grid_llm_requests{BOX, state="waiting"}'
QUEUE_GROWS = (
    f"avg_over_time({LLM_WAITING}[10m]) - avg_over_time({LLM_WAITING}[10m] offset 10m) > {LLM_QUEUE_GROWTH}"
    f" and min_over_time({LLM_WAITING}[20m]) > 0"
)
# Unloaded before its time within hours, and not loaded again; llama-swap does so by design.
OF_MODEL, OF_SERVER = "on (job, instance, server, model)", "on (job, instance, server)"
PINNED_GONE = (
    'increase(grid_llm_model_unloads_total{BOX, reason="early"}[6h]) > 0'
    f" and {OF_MODEL} last_over_time(grid_llm_model_pinned{{BOX}}[1d]) == 1"
    f" and {OF_SERVER} grid_llm_up{{BOX}} == 1"
    f' unless {OF_MODEL} grid_llm_model_state{{BOX, state=~"loaded|loading|sleeping"}} == 1'
    f' unless {OF_SERVER} grid_llm_server_info{{BOX, kind="llama-swap"}}'
)
CHECKED = "grid_aide_last_check_timestamp_seconds{BOX}"
NEVER_CHECKED = f'grid_probe_success{{BOX, probe="aide"}} unless on (job, instance) {CHECKED}'

CONDITIONS = {
    "gpu": (
        Condition(states.GONE, GPUS_MISSING),
        Condition(
            states.ECC_ERRORS, 'grid_gpu_ecc_errors_total{BOX, kind="uncorrected"} > 0', "gpu", "GPU $1"
        ),
        Condition(
            states.NEEDS_RESET, 'grid_gpu_recovery_action{BOX, action!~"none|drain.*"} > 0', "gpu", "GPU $1"
        ),
        Condition(states.HOT, HOT, "gpu", "GPU $1"),
        Condition(states.MEMORY_FULL, f"{GPU_MEMORY_USED_RATIO} > {GPU_MEMORY_FULL_RATIO}", "gpu", "GPU $1"),
        Condition(
            states.THROTTLED,
            f"grid_gpu_throttle_active{{BOX, {THROTTLED_BY_HARDWARE}}} > 0",
            "gpu",
            "GPU $1",
        ),
    ),
    "llm": (
        Condition(states.SERVER_DOWN, LLM_DOWN, "server"),
        Condition(states.QUEUE_GROWS, QUEUE_GROWS, "model"),
        Condition(states.MODEL_GONE, PINNED_GONE, "model"),
        Condition(states.LOADING, "grid_llm_ready{BOX} == 0", "server"),
    ),
    "host": (
        Condition(states.NEARLY_OUT, _memory_below(MEMORY_NEARLY_OUT_RATIO, MEMORY_NEARLY_OUT_BYTES)),
        Condition(
            states.STALLING,
            f"{MEMORY_STALLED} > {MEMORY_STALLED_RATIO}",
        ),
        Condition(states.LOW, _memory_below(MEMORY_LOW_RATIO, MEMORY_LOW_BYTES)),
    ),
    "disk": (
        Condition(states.FULL, _disk_below(DISK_FULL_RATIO, DISK_FULL_BYTES), "mountpoint"),
        Condition(states.SCAN_ERRORS, "grid_directory_scan_errors{BOX} > 0", "path"),
        Condition(states.LOW_SPACE, _disk_below(DISK_LOW_RATIO, DISK_LOW_BYTES), "mountpoint"),
        Condition(states.FILLING, FILLING, "mountpoint"),
    ),
    "tor": (
        Condition(states.NOT_TOR, "grid_tor_is_tor{BOX} == 0"),
        Condition(states.TOR_DOWN, "grid_tor_up{BOX} == 0"),
    ),
    "containers": (
        Condition(states.ENGINE_DOWN, "grid_container_engine_up{BOX} == 0"),
        Condition(states.RESTARTS, 'grid_container_state{BOX, state=~"restarting|dead"} > 0', "container"),
        Condition(states.RESTARTS, f"{RESTARTED} and {SCRAPED}", "container"),
        Condition(states.UNHEALTHY, 'grid_container_health{BOX, health="unhealthy"} > 0', "container"),
        Condition(states.STOPPED, f"{STOPPED_CONTAINER} > 0", "container"),
    ),
    "services": (
        Condition(states.FAILED, FAILED_SERVICE, "name"),
        Condition(states.FAILED, f"grid_systemd_failed_units{{BOX}} > 0 unless {NAMED}", name="a unit"),
        Condition(
            states.OVERDUE,
            f"{CLOCK} - on (job, instance) group_right () ({TIMER_DUE}) > {TIMER_OVERDUE_SECONDS}",
            "name",
        ),
        Condition(states.STOPPED, f"{STOPPED_SERVICE} > 0", "name"),
    ),
    "aide": (
        Condition(states.CHECK_FAILED, "grid_aide_check_success{BOX} == 0"),
        Condition(states.FINDINGS, "grid_aide_clean{BOX} == 0"),
        Condition(states.OVERDUE, f"{CLOCK} - {CHECKED} > {AIDE_OVERDUE_SECONDS}"),
        Condition(states.NOT_CHECKED, f"({NEVER_CHECKED}) == 1"),
    ),
    "exporter": (
        Condition(states.DOWN, "up{BOX} == 0"),
        Condition(states.PROBE_FAILING, "grid_probe_success{BOX} == 0", "probe"),
        Condition(states.BAD_CONFIG, RELOAD_FAILED),
        Condition(states.STUCK, "grid_probe_stuck{BOX} == 1", "probe"),
    ),
}
