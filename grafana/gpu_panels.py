"""Charts with a line a GPU."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.charts import CARDS, lines
from grafana.sdk import Panel, over_time
from prometheus.expressions import CARD_MEMORY_USED

NO_GPU = "No GPU in this range"
PER_CARD = "${who}GPU {{gpu}}"


def gpu_lines(
    title: str,
    description: str,
    unit: str,
    promql: str,
    *,
    dashed: tuple[float, ...] = (),
    low: float | None = 0,
    high: float | None = None,
    empty: str = NO_GPU,
) -> Panel:
    """A line a GPU, in the GPU's own colour."""
    query = over_time(promql, PER_CARD)
    return lines(title, description, unit, query, names=CARDS, dashed=dashed, low=low, high=high, empty=empty)


def use(title: str) -> Panel:
    """How busy each GPU is."""
    description = "The share of time in which at least one kernel ran on the GPU."
    return gpu_lines(title, description, "percentunit", "grid_gpu_utilization_ratio{BOX}", high=1)


def memory_used(title: str) -> Panel:
    """How full each GPU's memory is."""
    return gpu_lines(
        title,
        "The share of the GPU's memory in use; dashed: full.",
        "percentunit",
        CARD_MEMORY_USED,
        dashed=threshold_steps.GPU_MEMORY_USED,
        high=1,
    )
