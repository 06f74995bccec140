"""A command's metrics in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """The families in one line."""
    return pluralize(sum(len(query.lines(families, name)) for name in families), "series", "series")
