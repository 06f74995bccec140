"""Writes the pages as the files that Grafana loads."""

from __future__ import annotations

from pathlib import Path

from grafana import sdk
from grafana.pages import (
    aide,
    changes,
    containers,
    disk,
    exporter,
    fleet,
    gpu,
    host,
    llm,
    overview,
    services,
    tor,
)

PAGES = (
    overview.page,
    changes.page,
    gpu.page,
    llm.page,
    disk.page,
    host.page,
    containers.page,
    services.page,
    tor.page,
    aide.page,
    exporter.page,
    fleet.page,
)
DASHBOARDS = Path(__file__).parent / "dashboards"


def render() -> dict[str, str]:
    """Every page: the name of its file, and its JSON."""
    dashboards = [page().dashboard() for page in PAGES]
    return {f"{dashboard.uid}.json": sdk.encode(dashboard) for dashboard in dashboards}


def write(directory: Path = DASHBOARDS) -> None:
    """Writes them all, and deletes what is no page any more."""
    pages = render()
    for path in directory.glob("grid-*.json"):
        path.unlink()
    for name, text in pages.items():
        (directory / name).write_text(text, encoding="utf-8")
