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
WHAT = '"instance", "container", "name", "gpu_name", "probe", "path", "mountpoint"'
FIRING = 'ALERTS{BOX, alertstate="firing"}'
SINCE = "ALERTS_FOR_STATE{BOX}"
EACH = "by (instance, alertname, severity, domain, what)"


def with_what(alerts: str) -> str:
    """PromQL: alerts with a label ``what``: the box and what is affected, from the labels that they have."""
    named = f'label_replace({alerts}, "gpu_name", "GPU $1", "gpu", "(.+)")'
    return f'label_join({named}, "what", " ", {WHAT})'


def firing_now() -> Panel:
    """The alerts that fire for the chosen boxes, worst first, with links to page, time and runbook."""
    since = f"({_each(SINCE)} and {_each(FIRING)}) * 1000"
    return table(
        "Firing alerts",
        "The firing alerts, worst first. A click opens the page at that time, or the runbook.",
        state("Level", _severity(), SEVERITIES, 78),
        Column(title="Alert", label="alertname", least=100, links=(to_runbook(),)),
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
    return f"max {EACH} ({with_what(alerts)})"


def _severity() -> str:
    ranks = " or ".join(
        f'label_replace(vector({rank}), "severity", "{name}", "", "")'
        for rank, (name, _) in SEVERITIES.items()
    )
    return f"{_each(FIRING)} * on (severity) group_left () ({ranks})"
