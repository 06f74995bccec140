"""The services in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    active = query.values(families, "grid_service_state", state="active")
    failed = query.value(families, "grid_systemd_failed_units")
    return query.join(
        f"{sum(active):.0f} of {pluralize(len(active), 'service')} active" if active else None,
        None if failed is None else f"{pluralize(failed, 'unit')} failed" if failed else "no unit failed",
    )
