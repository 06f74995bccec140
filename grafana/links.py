"""The pages and the ways between them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

PAGES = {
    "grid-overview": "Overview",
    "grid-gpu": "GPU",
    "grid-models": "Models & storage",
    "grid-workloads": "Workloads",
    "grid-tor": "Tor & integrity",
    "grid-exporter": "Exporter",
    "grid-fleet": "Fleet",
}
_KEPT = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"


def to_page(uid: str, title: str) -> build.DashboardLink:
    """A link from a panel to a page, with the same data source, boxes and time range."""
    return build.DashboardLink(title).url(f"/d/{uid}?{_KEPT}&${{instance:queryparam}}")


def to_box(uid: str, title: str, box: str) -> dict[str, object]:
    """A link from a table's cell to a page, for the box of its row alone.

    Args:
        uid: the page's.
        title: the link's text.
        box: Grafana's expression for the box, such as ``${__value.raw}``.
    """
    return {"title": title, "url": f"/d/{uid}?{_KEPT}&var-instance={box}", "targetBlank": False}


def to_other_pages(uid: str) -> list[build.DashboardLink]:
    """The links at the top of a page: to all others, with the chosen variables and time range."""
    return [
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{other}")
        .tooltip(f"Open {title}")
        .icon("dashboard")
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
        for other, title in PAGES.items()
        if other != uid
    ]
