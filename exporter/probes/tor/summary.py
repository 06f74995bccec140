"""Tor in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import duration
from exporter.metrics import query


def summarize(families: query.Families, now: float) -> str:
    """The families in one line, for the status page; ``now`` is Unix time."""
    up, is_tor = query.value(families, "grid_tor_up"), query.value(families, "grid_tor_is_tor")
    if not up:
        return "down" if up == 0 else ""
    exits = [sample.labels["address"] for sample in query.samples(families, "grid_tor_exit_info")]
    took = query.value(families, "grid_tor_check_duration_seconds")
    changed = query.ago(families, "grid_tor_exit_changed_timestamp_seconds", now)
    return query.join(
        "up",
        "not through Tor!" if is_tor == 0 else None,
        f"exit {exits[0]}{f' (changed {changed})' if changed else ''}" if exits else None,
        f"a request took {duration(took)}" if took is not None else None,
    )
