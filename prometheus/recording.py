"""Recording rules: the fleet page stays quick however many boxes there are.

The labels are job and instance, of the health codes also the domain, of the problems also the reason, of the
number of cards also the vendor. A box without a thing has no series of it.
"""

from __future__ import annotations

from typing import Any

from prometheus.expressions import JOB
from prometheus.health import DOMAINS, health, problems

HEALTH = "grid:health:code"
PROBLEM = "grid:health:problem"
AGGREGATES = {
    "grid:gpu_cards:count": "count by (job, instance, vendor) (grid_gpu_info{BOX})",
    "grid:gpu_utilization_ratio:avg": "avg by (job, instance) (grid_gpu_utilization_ratio{BOX})",
    "grid:gpu_memory_used_bytes:sum": "sum by (job, instance) (grid_gpu_memory_used_bytes{BOX})",
    "grid:gpu_memory_total_bytes:sum": "sum by (job, instance) (grid_gpu_memory_total_bytes{BOX})",
    "grid:gpu_temperature_celsius:max": "max by (job, instance) (grid_gpu_temperature_celsius{BOX})",
    "grid:gpu_power_draw_watts:sum": "sum by (job, instance) (grid_gpu_power_draw_watts{BOX})",
    "grid:filesystem_used_ratio:max": (
        "max by (job, instance) (1 - grid_filesystem_avail_bytes{BOX} / grid_filesystem_size_bytes{BOX})"
    ),
}


def aggregate(record: str, boxes: str = JOB) -> str:
    """The PromQL of a recorded aggregate. boxes: the label matchers that choose the boxes, without braces."""
    return AGGREGATES[record].replace("{BOX}", f"{{{boxes}}}")


def rules() -> list[dict[str, Any]]:
    """The recording rules: a health code and the problems of each domain, then the aggregates."""
    states = [
        {"record": record, "expr": promql(domain.name, JOB), "labels": {"domain": domain.name}}
        for domain in DOMAINS
        for record, promql in ((HEALTH, health), (PROBLEM, problems))
    ]
    return [*states, *({"record": record, "expr": aggregate(record)} for record in AGGREGATES)]
