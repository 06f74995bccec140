"""Power, temperatures and fans."""

from __future__ import annotations

from grafana import sdk, threshold_steps
from grafana.charts import GPU_NAMES, lines
from grafana.gpu_panels import NO_GPU, PER_GPU, gpu_lines
from grafana.sdk import Panel, over_time


def power() -> Panel:
    """What the GPUs draw, and may draw."""
    panel = lines(
        "Power",
        "What each GPU draws; dashed in its colour, its limit.",
        "watt",
        over_time("grid_gpu_power_draw_watts{BOX}", PER_GPU),
        over_time("grid_gpu_power_limit_watts{BOX}", f"{PER_GPU} limit"),
        names=GPU_NAMES,
        empty=NO_GPU,
    )
    dashed = {"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}}
    sdk.override(panel, "byRegexp", "/limit$/", dashed)
    return panel


def temperature() -> Panel:
    """How hot each core is."""
    return gpu_lines(
        "Core temperature",
        "The temperature of each core; dashed: warm, and hot.",
        "celsius",
        "grid_gpu_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_HEAT,
        low=None,
    )


def memory_temperature() -> Panel:
    """How hot each GPU's memory is."""
    return gpu_lines(
        "Memory temperature",
        "The temperature of the memory, where the GPU reports it; dashed: warm, and hot.",
        "celsius",
        "grid_gpu_memory_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_MEMORY_HEAT,
        low=None,
        empty="Not reported here",
    )


def fan() -> Panel:
    """What cools the GPUs."""
    return gpu_lines(
        "Fan",
        "The speed that the driver asks of the fan; a blocked one is not noticed.",
        "percentunit",
        "grid_gpu_fan_speed_ratio{BOX}",
        high=1,
        empty="Not reported here",
    )
