"""What the exporter can export: every family that any of its modules declares."""

from __future__ import annotations

import docs.metrics


def families() -> dict[str, set[str]]:
    """Each family's name and the labels that it may carry."""
    return {
        name: set(family.labels)
        for group in docs.metrics.families().values()
        for name, family in group.items()
    }
