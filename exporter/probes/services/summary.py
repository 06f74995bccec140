"""The services in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize
from exporter.metrics import query

ACTIVE_STATES = ("active", "reloading", "refreshing")  # refreshing: systemd 257 and later


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    units = query.values(families, "grid_service_state", state="active")
    active = sum(query.total(families, "grid_service_state", state=state) for state in ACTIVE_STATES)
    failed = query.value(families, "grid_systemd_failed_units")
    return query.join(
        f"{active:.0f} of {pluralize(len(units), 'service')} active" if units else None,
        None if failed is None else f"{pluralize(failed, 'unit')} failed" if failed else "no unit failed",
    )
