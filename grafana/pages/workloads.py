"""Workloads: the host, its containers, services and timers; what runs, what fell, what it costs."""

from __future__ import annotations

from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.pages.workloads_containers import containers
from grafana.pages.workloads_host import host
from grafana.pages.workloads_services import services

PAGE = "The host, its containers, services and timers: what runs, what fell, what it costs."


def page() -> Page:
    """The page."""
    workloads = Page("grid-workloads", PAGE, since="24h", refresh="30s")
    workloads.filter_by_category()
    host(workloads)
    containers(workloads)
    services(workloads)
    workloads.annotate(reboots(), alerts("host|containers|services"))
    return workloads
