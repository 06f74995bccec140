"""What limits a GPU, and for how long."""

from __future__ import annotations

from grafana import sdk, value_mappings
from grafana.charts import lines, paint, timeline
from grafana.gpu_panels import EACH, NO_GPU, PER_GPU
from grafana.host_queries import DISK_WAIT, PROCESSORS_BUSY
from grafana.sdk import Panel, over_time
from grafana.state_codes import one_code
from grafana.value_mappings import OFF

# Why a GPU runs below its clock: the driver's name (NVIDIA's, Intel's), our code, the worst highest, text.
THROTTLE_REASONS = (
    ("gpu_idle", 1, "idle", OFF),
    ("sw_power_cap", 2, "power limit", value_mappings.NEUTRAL),
    ("applications_clocks_setting", 3, "clock setting", value_mappings.NEUTRAL),
    ("sync_boost", 4, "sync boost", value_mappings.NEUTRAL),
    ("pl[124]", 6, "power limit", value_mappings.NEUTRAL),
    ("thermal|prochot|ratl|vr_.*", 10, "heat", value_mappings.WARNING),
    ("sw_thermal_slowdown", 11, "heat", value_mappings.WARNING),
    ("hw_slowdown", 12, "hardware", value_mappings.WARNING),
    ("hw_thermal_slowdown", 13, "severe heat", value_mappings.CRITICAL),
    ("hw_power_brake_slowdown", 14, "power brake", value_mappings.CRITICAL),
)
ASLEEP = 5  # runtime-suspended: it reports nothing else, and nothing wakes it
REASON_TEXTS = {ASLEEP: ("asleep", OFF), 0: ("none", value_mappings.OK)} | {
    code: (text, colour) for _, code, text, colour in THROTTLE_REASONS
}
THROTTLED_BY = one_code(
    EACH,
    {f'grid_gpu_throttle_active{{BOX, reason=~"{reason}"}}': code for reason, code, _, _ in THROTTLE_REASONS}
    | {"(grid_gpu_asleep{BOX} == 1)": ASLEEP},
)


DASHED = {"fill": "dash", "dash": [6, 6]}


def what_limits() -> list[Panel]:
    """For each GPU, all that can limit it on one axis."""
    gpu = 'BOX, gpu=~"$gpu"'
    highest = f'max_over_time(grid_gpu_clock_hertz{{{gpu}, clock="graphics"}}[$__range])'
    fastest = f'(grid_gpu_clock_max_hertz{{{gpu}, clock="graphics"}} or {highest})'
    clock = f'grid_gpu_clock_hertz{{{gpu}, clock="graphics"}} / {fastest}'
    power = f"grid_gpu_power_draw_watts{{{gpu}}} / grid_gpu_power_limit_watts{{{gpu}}}"
    heat = f'max {EACH} (grid_gpu_throttle_active{{{gpu}, reason=~".*thermal.*|hw_.*|prochot|ratl|vr_.*"}})'
    capped = f'max {EACH} (grid_gpu_throttle_active{{{gpu}, reason=~"sw_power_cap|pl[124]"}})'
    panel = lines(
        "GPU $gpu",
        "Its use, memory bandwidth, clock, power of its limit, throttling; dashed, processors and disks.",
        "percentunit",
        over_time(f"grid_gpu_utilization_ratio{{{gpu}}}", "${who}utilization"),
        over_time(f"grid_gpu_memory_utilization_ratio{{{gpu}}}", "${who}memory bandwidth"),
        over_time(clock, "${who}clock"),
        over_time(power, "${who}power"),
        over_time(heat, "${who}throttled by heat"),
        over_time(capped, "${who}throttled by power"),
        # What a GPU may wait for. On a box without one, this panel is drawn all the same.
        over_time(PROCESSORS_BUSY, "${who}processors"),
        over_time(DISK_WAIT, "${who}disk wait"),
        names=("utilization", "memory bandwidth", "clock", "power", "processors", "disk wait"),
        high=1,
        empty="No GPU or host metrics in this range",
    )
    area = {"custom.fillOpacity": 20, "custom.lineWidth": 0}
    paint(panel, "/throttled by heat$/", value_mappings.CRITICAL, **area)
    paint(panel, "/throttled by power$/", value_mappings.NEUTRAL, **area)
    sdk.override(panel, "byRegexp", "/(processors|disk wait)$/", {"custom.lineStyle": DASHED})
    panel.repeat = "gpu"
    panel.repeat_direction = "h"
    panel.max_per_row = 2
    return [panel]


def throttled_by() -> Panel:
    """Why a GPU ran below its clock."""
    return timeline(
        "Throttled by",
        "Why the GPU ran below its clock: the worst of the driver's reasons at the time.",
        over_time(THROTTLED_BY, PER_GPU),
        texts=REASON_TEXTS,
        empty=NO_GPU,
    )


def throttled_share() -> Panel:
    """For how much of the time each GPU was throttled."""
    rate = f"sum {EACH[:-1]}, reason) (rate(grid_gpu_throttle_seconds_total{{BOX}}[$__rate_interval]))"
    return lines(
        "Throttled time",
        "The share of time in which each reason throttled the GPU, where the driver counts it.",
        "percentunit",
        over_time(rate, f"{PER_GPU} {{{{reason}}}}"),
        high=1,
        empty="No GPU here was throttled, or counts it",
    )
