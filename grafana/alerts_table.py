"""What is firing now: the same table on Overview and on Fleet."""

from __future__ import annotations

from grafana import value_mappings
from grafana.links import to_box
from grafana.sdk import Panel
from grafana.tables import Column, number, state, table, text

SEVERITIES = {
    2: ("critical", value_mappings.CRITICAL),
    1: ("warning", value_mappings.WARNING),
    0: ("info", value_mappings.NEUTRAL),
}
# What an alert is about stands in different labels; one column takes whichever there is.
WHAT = '"container", "name", "card", "probe", "path", "mountpoint"'
FIRING = 'ALERTS{BOX, alertstate="firing"}'
SINCE = "ALERTS_FOR_STATE{BOX}"


def firing_now(*, across_boxes: bool = False) -> Panel:
    """Alerts that fire for the chosen boxes, worst first; ``across_boxes``: each box links to its page."""
    alert, what = text("Alert", "alertname", 185), text("What", "what")
    severity = state("Severity", _severity(), SEVERITIES, 80)
    # The rows are those that fire: what is only pending stays out.
    lasting = number("For", f"time() - {_one_a_row(SINCE)} and {_one_a_row(FIRING)}", "s", 75, decimals=0)
    columns = (
        (severity, _linked_box(), alert, what, lasting)
        if across_boxes
        else (severity, alert, what, lasting, text("Instance", "instance", 110))
    )
    return table(
        "Firing now",
        "The alerts that fire for the chosen boxes, worst first. Pending ones are left out.",
        *columns,
        empty="No alert is firing",
        worst_by="Severity",
        hidden=("severity",),
    )


def _linked_box() -> Column:
    opened = to_box("grid-overview", "Open this box", "${__value.raw}")
    return Column(title="Box", label="instance", width=110, links=(opened,))


def _one_a_row(alerts: str) -> str:
    named = f'label_replace({alerts}, "card", "GPU $1", "gpu", "(.+)")'
    joined = f'label_join({named}, "what", " ", {WHAT})'
    return f"max by (instance, alertname, severity, what) ({joined})"


def _severity() -> str:
    ranks = " or ".join(
        f'label_replace(vector({rank}), "severity", "{name}", "", "")'
        for rank, (name, _) in SEVERITIES.items()
    )
    return f"{_one_a_row(FIRING)} * on (severity) group_left () ({ranks})"
