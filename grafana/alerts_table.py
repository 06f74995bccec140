"""The alerts that fire now, for Overview and Fleet."""

from __future__ import annotations

from grafana import value_mappings
from grafana.links import to_moment, to_runbook
from grafana.sdk import Panel
from grafana.tables import Column, moment, number, state, table

SEVERITIES = {
    2: ("critical", value_mappings.CRITICAL),
    1: ("warning", value_mappings.WARNING),
    0: ("info", value_mappings.NEUTRAL),
}
# The labels that name what an alert is about; each alert has some of them.
WHAT = ("container", "name", "gpu_name", "probe", "path", "mountpoint", "server", "model")
FIRING = 'ALERTS{BOX, alertstate="firing"}'
SINCE = "ALERTS_FOR_STATE{BOX}"
EACH = "by (instance, alertname, severity, domain, event, what)"
WORD = "([A-Z][a-z]+)?"
ACRONYMS = ("GPU", "LLM", "AIDE")  # at the beginning of alerts' names


def described(alerts: str, *first: str) -> str:
    """PromQL: alerts with labels for people.

    ``event`` is the alert's name in words, which wrap: GPU Memory Full. ``what`` is what is affected, after
    the labels ``first``.
    """
    labels = ", ".join(f'"{label}"' for label in (*first, *WHAT))
    numbered = f'label_replace({alerts}, "gpu_name", "GPU $1", "gpu", "(.+)")'
    named = (
        f'label_replace(label_join({numbered}, "what", " ", {labels}), "event", "$1", "alertname", "(.+)")'
    )
    named = f'label_replace({named}, "event", "$1 $2 $3 $4 $5", "alertname", "Grid{WORD * 5}")'
    for acronym in ACRONYMS:
        named = f'label_replace({named}, "event", "{acronym}$1", "event", "{acronym.title()}( .+)")'
    return named


def firing_now() -> Panel:
    """The alerts that fire for the chosen boxes, worst first, with links to page, time and runbook."""
    since = f"({_each(SINCE)} and {_each(FIRING)}) * 1000"
    return table(
        "Firing alerts",
        "The firing alerts, worst first. A click opens the page at that time, or the runbook.",
        state("Level", _severity(), SEVERITIES, 78),
        Column(title="Alert", label="event", least=100, links=(to_runbook(),)),
        Column(title="What", label="what", least=100, links=(to_moment(),)),
        moment("Since", since, hidden=True),
        number("For", f"time() - {_each(SINCE)} and {_each(FIRING)}", "s", 72, decimals=0),
        empty="No alert is firing",
        worst_by=("Level", "For"),
        page_from="domain",
        around="Since",
        hidden=("severity",),
        boxes=False,
    )


def _each(alerts: str) -> str:
    return f"max {EACH} ({described(alerts, 'instance')})"


def _severity() -> str:
    ranks = " or ".join(
        f'label_replace(vector({rank}), "severity", "{name}", "", "")'
        for rank, (name, _) in SEVERITIES.items()
    )
    return f"{_each(FIRING)} * on (severity) group_left () ({ranks})"
