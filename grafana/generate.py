"""Writes the pages as the files that Grafana loads."""

from __future__ import annotations

from pathlib import Path

from grafana import sdk
from grafana.pages import exporter, fleet, gpu, models, overview, tor, workloads

PAGES = (overview.page, gpu.page, models.page, workloads.page, tor.page, exporter.page, fleet.page)
DASHBOARDS = Path(__file__).parent / "dashboards"


def render() -> dict[str, str]:
    """Every page: the name of its file, and its JSON."""
    dashboards = [page().dashboard() for page in PAGES]
    return {f"{dashboard.uid}.json": sdk.encode(dashboard) for dashboard in dashboards}


def write(directory: Path = DASHBOARDS) -> None:
    """Writes them all."""
    for name, text in render().items():
        (directory / name).write_text(text, encoding="utf-8")
