"""A directory of models in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import pluralize, size
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    whole = query.value(families, "grid_directory_size_bytes")
    models = len(query.lines(families, "grid_directory_entry_size_bytes"))
    unread = query.value(families, "grid_directory_scan_errors")
    return query.join(
        query.join(
            size(whole) if whole is not None else None, pluralize(models, "model") if models else None
        ),
        f"{pluralize(unread, 'part')} unreadable" if unread else None,
        _space(families),
    )


def _space(families: query.Families) -> str | None:
    """The space left on the directory's own file system."""
    here = [sample.labels["mountpoint"] for sample in query.samples(families, "grid_directory_info")]
    for sample in query.samples(families, "grid_filesystem_avail_bytes"):
        if sample.labels["mountpoint"] in here:
            return f"{size(sample.value)} left on {sample.labels['mountpoint']}"
    return None
