"""The health of a domain: the worst of its conditions, as a code, and the reasons for it.

The same PromQL stands inline on the pages of one box, which therefore need no rules, and is recorded for
Fleet as ``grid:health:code{domain}`` and ``grid:health:problem{domain, reason}``. Its thresholds are those of
the alerts.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus import states
from prometheus.conditions import CONDITIONS, Condition

# The boxes chosen on the page: these matchers stand in every selector of every query.
CHOSEN = 'job=~"$job", instance=~"$instance"'


class Domain(NamedTuple):
    """A part of the box with a state of its own. ``absent``: its text where the box has no such thing."""

    name: str
    title: str
    absent: str

    @property
    def page(self) -> str:
        """The uid of the domain's page."""
        return f"grid-{self.name}"


GPU = Domain("gpu", "GPU", "No GPU")
LLM = Domain("llm", "LLM", "No LLM server")
HOST = Domain("host", "Memory", "No host metrics")
DISK = Domain("disk", "Storage", "No models")
TOR = Domain("tor", "Tor", "No Tor")
CONTAINERS = Domain("containers", "Containers", "No containers")
SERVICES = Domain("services", "Services", "No services")
AIDE = Domain("aide", "AIDE", "No AIDE")
EXPORTER = Domain("exporter", "Exporter", "Off")
DOMAINS = (GPU, LLM, HOST, DISK, TOR, CONTAINERS, SERVICES, AIDE, EXPORTER)


def health(domain: str, boxes: str = CHOSEN) -> str:
    """PromQL for a domain's code, one series a box (labels job and instance): the worst of its conditions.

    A box without such a thing has -1. One that does not answer, or has not completed a run, has no series,
    but in the domain exporter.

    Args:
        domain: a name of DOMAINS.
        boxes: the label matchers that choose the boxes, without braces.
    """
    codes = [condition.code() for condition in (*_conditions(domain), *_without_problem(domain))]
    return _filled(f"max by (job, instance) ({' or '.join(codes)})", boxes)


def problems(domain: str, boxes: str = CHOSEN) -> str:
    """PromQL for a domain's problems, labels job, instance and reason: the worst code of each thing."""
    conditions = _conditions(domain)
    things = sorted({condition.by for condition in conditions if condition.by})
    first = f" or on ({', '.join(('job', 'instance', *things))}) "
    reasons = first.join(condition.reason() for condition in conditions)
    return _filled(f"max by (job, instance, reason) ({reasons})", boxes)


def worst_problem(domain: str, boxes: str = CHOSEN) -> str:
    """PromQL for the worst code over the chosen boxes, one series, with its reason in a label."""
    ok, off = _without_problem(domain)
    absent = {each.name: each.absent for each in DOMAINS}[domain]
    # Without its box: all are fine where no box has a problem.
    fine = f"max by (reason) ({_with_reason(ok, 'healthy')} or {_with_reason(off, absent)})"
    return f"topk(1, {problems(domain, boxes)} or {_filled(fine, boxes)})"


def _conditions(domain: str) -> tuple[Condition, ...]:
    if domain == "exporter":
        return CONDITIONS[domain]
    probes = f'BOX, probe=~"{domain}(:.*)?"'
    # A directory is a probe of its own: one that fails hides neither another that is full, nor itself.
    failing = f"grid_probe_success{{{probes}}} == 0 or grid_probe_stuck{{{probes}}} == 1"
    return (*CONDITIONS[domain], Condition(states.UNKNOWN, failing, "probe", "$1 probe"))


def _without_problem(domain: str) -> tuple[Condition, Condition]:
    """OK where the domain's probe works, Off where the box has no such thing."""
    if domain == "exporter":
        return Condition(states.OK, "up{BOX} == 1"), Condition(states.OFF, "up{BOX} < 0")
    return (
        Condition(states.OK, f'grid_probe_success{{BOX, probe=~"{domain}(:.*)?"}} == 1'),
        Condition(states.OFF, f'grid_probe_enabled{{BOX, probe="{domain}"}} == 0'),
    )


def _with_reason(condition: Condition, reason: str) -> str:
    return f'label_replace({condition.code()}, "reason", "{reason}", "", "")'


def _filled(promql: str, boxes: str) -> str:
    return promql.replace("{BOX", "{" + boxes)
