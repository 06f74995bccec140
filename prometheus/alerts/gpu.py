"""Alerts about the graphics cards."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import latest, over

MEMORY_USED = f"{latest('grid_gpu_memory_used_bytes')}\n/ {latest('grid_gpu_memory_total_bytes')}"
UNCORRECTED = latest("grid_gpu_ecc_errors_total", 'kind="uncorrected"')
# By heat or by the hardware: a power limit that was set, or an idle card, is as its owner wants it.
THROTTLED = over(900, "grid_gpu_throttle_active", 'reason=~"sw_thermal_slowdown|hw_.+"')
# A probe that fails on a box which had cards counts as no card: the driver is gone with them.
FAILS = latest("grid_probe_success", 'probe=~"gpu(:.+)?"') + " == 0"
OF_NVIDIA = f'label_replace({FAILS}, "vendor", "nvidia", "probe", "gpu")'
OF_VENDOR = f'label_replace({OF_NVIDIA}, "vendor", "$1", "probe", "gpu:(.+)")'
CARDS = f"{latest('grid_gpus')}\n  or on (job, instance, vendor) {OF_VENDOR}"


def alerts() -> list[Alert]:
    """Heat and what it does, then memory, errors and cards that are gone."""
    return [*_heat(), *_memory(), _gone()]


def _heat() -> list[Alert]:
    return [
        Alert(
            name="GridGpuHot",
            severity="critical",
            expr=f"{latest('grid_gpu_temperature_celsius')} >= {t.GPU_HOT_CELSIUS}",
            wait=300,
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} is at {{ $value }} °C",
            description="The core of GPU {{ $labels.gpu }} in {{ $labels.instance }} is at {{ $value }} "
            "°C. It slows down now and switches itself off if it gets hotter.",
        ),
        Alert(
            name="GridGpuMemoryHot",
            severity="critical",
            expr=f"{latest('grid_gpu_memory_temperature_celsius')} >= {t.GPU_MEMORY_HOT_CELSIUS}",
            wait=300,
            summary="{{ $labels.instance }}: the memory of GPU {{ $labels.gpu }} is at {{ $value }} °C",
            description="The memory of GPU {{ $labels.gpu }} in {{ $labels.instance }} is at {{ $value }} "
            "°C, where it slows down and ages quickly.",
        ),
        Alert(
            name="GridGpuThrottled",
            severity="warning",
            expr=f"avg_over_time({THROTTLED}) > {t.GPU_THROTTLED_RATIO}",
            wait=600,
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} is throttled ({{ $labels.reason }})",
            description="GPU {{ $labels.gpu }} in {{ $labels.instance }} was slowed down for "
            "{{ $value | humanizePercentage }} of the last 15 minutes. The driver's reason: "
            "{{ $labels.reason }}.",
        ),
    ]


def _memory() -> list[Alert]:
    return [
        Alert(
            name="GridGpuMemoryFull",
            severity="warning",
            expr=f"{MEMORY_USED} > {t.GPU_MEMORY_FULL_RATIO}",
            wait=1800,
            summary="{{ $labels.instance }}: the memory of GPU {{ $labels.gpu }} is full",
            description="{{ $value | humanizePercentage }} of the memory of GPU {{ $labels.gpu }} in "
            "{{ $labels.instance }} is in use, and has been for long. The next model or a longer prompt "
            "won't fit.",
        ),
        Alert(
            name="GridGpuEccUncorrected",
            severity="critical",
            expr=f"{UNCORRECTED} > 0",
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} has uncorrected memory errors",
            description="GPU {{ $labels.gpu }} in {{ $labels.instance }} met {{ $value }} memory errors "
            "since boot that ECC could not correct. What was computed on it can't be trusted.",
        ),
    ]


def _gone() -> Alert:
    had = over(t.GPU_GONE_WINDOW_SECONDS, "grid_gpus")
    return Alert(
        name="GridGpuGone",
        severity="critical",
        expr=f"max_over_time({had})\n- on (job, instance, vendor) (\n  {CARDS}\n)\n> 0",
        wait=300,
        summary="{{ $labels.instance }}: {{ $value }} GPU(s) gone",
        description="{{ $labels.instance }} has {{ $value }} GPU(s) fewer than within the last day: off "
        "the bus, without their driver, or taken out.",
    )
