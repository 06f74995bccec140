"""What a command printed in a line of words, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """What the families say in short, for the status page."""
    return pluralize(sum(len(query.lines(families, name)) for name in families), "figure")
