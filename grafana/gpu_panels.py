"""Charts with a line a card: some stand both on Overview and on the GPU page."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.charts import CARDS, lines
from grafana.sdk import Panel, over_time
from prometheus.expressions import CARD_MEMORY_USED

NO_GPU = "No GPU seen in this range"
PER_CARD = "${who}GPU {{gpu}}"


def card_lines(
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
    """A line a card, in the card's own colour."""
    asked = over_time(promql, PER_CARD)
    return lines(title, description, unit, asked, names=CARDS, dashed=dashed, low=low, high=high, empty=empty)


def use(title: str) -> Panel:
    """How busy each card is."""
    description = "The share of time in which at least one kernel ran on the card."
    return card_lines(title, description, "percentunit", "grid_gpu_utilization_ratio{BOX}", high=1)


def memory_used(title: str) -> Panel:
    """How full each card is."""
    description = "The share of the card's memory in use; above the dashed line nothing more will fit."
    return card_lines(
        title, description, "percentunit", CARD_MEMORY_USED, dashed=threshold_steps.GPU_MEMORY_USED, high=1
    )


def core_temperature(title: str) -> Panel:
    """How hot each core is."""
    return card_lines(
        title,
        "The core's temperature; the dashed lines: warm, and hot enough to act.",
        "celsius",
        "grid_gpu_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_HEAT,
        low=None,
    )
