"""The health code of a domain: a chain of conditions in PromQL, of which the first that holds gives the code.

The same chain stands in line on Overview, which therefore needs no rules, and is recorded as
``grid:health:code{domain}`` for the fleet. Its thresholds are the alerts'.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus import states
from prometheus.conditions import CONDITIONS, Link

# The boxes chosen on the page: these matchers stand in every selector of every query.
CHOSEN = 'job=~"$job", instance=~"$instance"'


class Domain(NamedTuple):
    """A part of the box with a state of its own. ``absent``: its text where the box has no such thing."""

    name: str
    title: str
    page: str
    absent: str


GPU = Domain("gpu", "GPU", "grid-gpu", "No GPU")
HOST = Domain("host", "Memory", "grid-workloads", "Off")
DISK = Domain("disk", "Storage", "grid-models", "No models")
TOR = Domain("tor", "Tor", "grid-tor", "No Tor")
CONTAINERS = Domain("containers", "Containers", "grid-workloads", "No containers")
SERVICES = Domain("services", "Services", "grid-workloads", "No services")
AIDE = Domain("aide", "AIDE", "grid-tor", "No AIDE")
EXPORTER = Domain("exporter", "Exporter", "grid-exporter", "Off")
DOMAINS = (GPU, HOST, DISK, TOR, CONTAINERS, SERVICES, AIDE, EXPORTER)


def health(domain: str, boxes: str = CHOSEN) -> str:
    """PromQL for a domain's code, one series a box (labels job and instance).

    A box that has no such thing gives -1, one that has not found out yet since it started gives nothing.

    Args:
        domain: a name of DOMAINS.
        boxes: the label matchers that choose the boxes, without braces.
    """
    links = (Link("max", "up{BOX}", "== 0", states.DOWN), *_probe_links(domain, CONDITIONS[domain]))
    return " or ".join(map(str, links)).replace("{BOX", "{" + boxes)


def _probe_links(domain: str, chain: tuple[Link, ...]) -> tuple[Link, ...]:
    """The chain between what every probe's domain begins and ends with; the exporter itself is no probe."""
    if domain == "exporter":
        return chain
    probes = f'BOX, probe=~"{domain}(:.*)?"'
    success, stuck = f"grid_probe_success{{{probes}}}", f"grid_probe_stuck{{{probes}}}"
    return (
        Link("max", f'grid_probe_enabled{{BOX, probe="{domain}"}}', "== 0", states.OFF),
        Link("max", success, "== 0", states.UNKNOWN),
        *chain,
        # A directory is a probe of its own: one that fails hides neither another that is full, nor itself.
        Link("min", success, "== 0", states.UNKNOWN),
        Link("max", stuck, "== 1", states.UNKNOWN),
        Link("max", success, "== 1", states.OK),
    )
