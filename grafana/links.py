"""The pages and the links between them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from prometheus.alert import RUNBOOKS

TAG = "grid"
FLEET = "grid-fleet"  # the page of many boxes
PAGES = {
    "grid-overview": "Overview",
    "grid-changes": "Changes",
    "grid-gpu": "GPU",
    "grid-llm": "LLM servers",
    "grid-disk": "Models & storage",
    "grid-host": "Host",
    "grid-containers": "Containers",
    "grid-services": "Services",
    "grid-tor": "Tor",
    "grid-aide": "AIDE",
    "grid-exporter": "Exporter",
    FLEET: "Fleet",
}
HOMES = ("grid-overview", "grid-changes", FLEET)  # these have a link of their own beside the menu
_KEPT = "${datasource:queryparam}&${job:queryparam}"

Link = dict[str, object]


def to_page(uid: str, title: str) -> Link:
    """A link from a panel to a page, with the same data source, boxes and time range."""
    return _link(title, f"/d/{uid}?{_KEPT}&${{__url_time_range}}&${{instance:queryparam}}")


def to_box(uid: str, title: str, box: str) -> Link:
    """A link from a table's cell to a page, for the box of its row alone.

    Args:
        uid: the page's.
        title: the link's text.
        box: Grafana's expression for the box, such as ``${__value.raw}``.
    """
    return _link(title, f"/d/{uid}?{_KEPT}&${{__url_time_range}}&var-instance={box}")


def to_moment() -> Link:
    """A link from a table's row to its page, box and time: its fields page, instance, from and to."""
    fields = "${__data.fields.%s}"
    box, start, end = fields % "instance", fields % "from.numeric", fields % "to.numeric"
    url = f"/d/{fields % 'page'}?{_KEPT}&var-instance={box}&from={start}&to={end}"
    return _link("Open its page at that time", url)


def to_runbook() -> Link:
    """A link from an alert's name to its runbook."""
    return _link("Open the runbook", f"{RUNBOOKS}/${{__data.fields.alertname}}.md", new_tab=True)


def top_links(uid: str) -> list[build.DashboardLink]:
    """The links at the top of a page, with its range: a menu of all pages, and the homes.

    They keep the chosen boxes, but for those of the page of many: the others begin with one.
    """
    menu = build.DashboardLink("Pages").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    menu.as_dropdown(as_dropdown=True)
    homes = [
        build.DashboardLink(PAGES[home])
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{home}")
        .icon("dashboard")
        for home in HOMES
        if home != uid
    ]
    kept = uid != FLEET
    return [link.keep_time(keep_time=True).include_vars(include_vars=kept) for link in (menu, *homes)]


def _link(title: str, url: str, *, new_tab: bool = False) -> Link:
    return {"title": title, "url": url, "targetBlank": new_tab}
