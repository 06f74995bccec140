"""The GPUs in one line, for the status page."""

from __future__ import annotations

from collections import Counter

from exporter.humanize import percent, pluralize, size
from exporter.metrics import query

# Why a card may be slower than it could be; not idling, nor its power limit.
SLOWED = (
    "hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown",
    "prochot", "thermal", "vr_thermalert",
)  # fmt: skip


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    cards = query.value(families, "grid_gpus")
    if not cards:
        return "no card" if cards == 0 else ""
    use = max(query.values(families, "grid_gpu_utilization_ratio"), default=None)
    used, total = (query.total(families, f"grid_gpu_memory_{what}_bytes") for what in ("used", "total"))
    hot = max(query.values(families, "grid_gpu_temperature_celsius"), default=None)
    watts = query.values(families, "grid_gpu_power_draw_watts")
    slowed = {
        reason for reason in SLOWED if any(query.values(families, "grid_gpu_throttle_active", reason=reason))
    }
    errors = query.total(families, "grid_gpu_ecc_errors_total", kind="uncorrected")
    several = cards > 1
    return query.join(
        _models(families) or pluralize(cards, "card"),
        f"{'busiest' if several else 'busy'} {percent(use, 1)}" if use is not None else None,
        f"memory {percent(used, total)} of {size(total)}" if total else None,
        f"{'hottest ' if several else ''}{hot:.0f} °C" if hot is not None else None,
        f"{sum(watts):.0f} W" if watts else None,
        f"{asleep:.0f} asleep" if (asleep := query.total(families, "grid_gpu_asleep")) else None,
        f"slowed down ({', '.join(slowed)})" if slowed else None,
        pluralize(errors, "uncorrected memory error") if errors else None,
    )


def _models(families: query.Families) -> str:
    """The cards by their names: ``2 NVIDIA A100``."""
    names = Counter(sample.labels.get("name", "card") for sample in query.samples(families, "grid_gpu_info"))
    return " and ".join(f"{count} {name}" if count > 1 else name for name, count in names.items())
