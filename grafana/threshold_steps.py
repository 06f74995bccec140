"""The alerts' thresholds as the colour steps of panels."""

from __future__ import annotations

from grafana import value_mappings
from grafana.sdk import Step
from prometheus import thresholds

GPU_HEAT = (thresholds.GPU_WARM_CELSIUS, thresholds.GPU_HOT_CELSIUS)
GPU_MEMORY_HEAT = (thresholds.GPU_MEMORY_WARM_CELSIUS, thresholds.GPU_MEMORY_HOT_CELSIUS)
GPU_MEMORY_USED = (thresholds.GPU_MEMORY_FULL_RATIO,)
# Of its limit, where the kernel kills at 1. Shares of a box's memory and disks have no colour: how many bytes
# are left counts too, which their state says.
CONTAINER_MEMORY = (1 - thresholds.MEMORY_LOW_RATIO, 1 - thresholds.MEMORY_NEARLY_OUT_RATIO)
TOR_REQUEST = (thresholds.TOR_SLOW_SECONDS,)
AIDE_AGE = (thresholds.AIDE_OVERDUE_SECONDS,)
SCRAPE = (thresholds.SCRAPE_SLOW_SECONDS,)
PROBE_AGE = (thresholds.PROBE_STALE_LIFETIMES, thresholds.PROBE_FORSAKEN_LIFETIMES)

WARN_FROM_ONE = ((1, value_mappings.WARNING),)
CRITICAL_FROM_ONE = ((1, value_mappings.CRITICAL),)


def steps(values: tuple[float, ...]) -> tuple[Step, ...]:
    """The colours from each threshold on: warning, then critical."""
    return tuple(zip(values, (value_mappings.WARNING, value_mappings.CRITICAL), strict=False))
