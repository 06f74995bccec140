"""Charts with a line a GPU."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.charts import GPU_NAMES, lines
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value
from grafana.value_mappings import OFF
from prometheus.expressions import GPU_MEMORY_USED_RATIO

EACH = "by (instance, gpu)"
NO_GPU = "No GPU in this range"
ASLEEP = Value("Asleep", "sum(grid_gpu_asleep{BOX}) > 0", "short", "grid-gpu", ((1, OFF),))
PER_GPU = "${who}GPU {{gpu}}"


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
    query = over_time(promql, PER_GPU)
    return lines(
        title, description, unit, query, names=GPU_NAMES, dashed=dashed, low=low, high=high, empty=empty
    )


def memory_used(title: str) -> Panel:
    """How full each GPU's memory is."""
    return gpu_lines(
        title,
        "The share of the GPU's memory in use; dashed: full.",
        "percentunit",
        GPU_MEMORY_USED_RATIO,
        dashed=threshold_steps.GPU_MEMORY_USED,
        high=1,
    )
