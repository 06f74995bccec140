"""The containers in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    if query.value(families, "grid_container_engine_up") == 0:
        return "the engine is down"
    running = query.values(families, "grid_container_state", state="running")
    if not running:
        return "no containers"
    unhealthy = query.total(families, "grid_container_health", health="unhealthy")
    restarting = query.total(families, "grid_container_state", state="restarting")
    updated = query.values(families, "grid_container_watchtower_enabled")
    watched = f"{sum(updated):.0f} updated by Watchtower" if updated else None
    return query.join(
        f"{sum(running):.0f} of {pluralize(len(running), 'container')} running",
        f"{unhealthy:.0f} unhealthy" if unhealthy else None,
        f"{restarting:.0f} restarting" if restarting else None,
        watched if query.value(families, "grid_watchtower_up") else "no Watchtower runs",
    )
