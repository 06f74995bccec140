"""What an alert is, and the rule that Prometheus reads."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prometheus.expressions import GAP_SECONDS, span

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNBOOKS = f"{PROJECT['urls']['Repository']}/blob/main/prometheus/runbooks"
GRAFANA = "http://localhost:3000"
BOX = "{{ $labels.instance | urlquery }}"
Severity = Literal["critical", "warning", "info", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that a person should know.

    severity: critical wakes somebody, warning waits for the morning, info needs nobody, none is for programs.
    expr: the condition, true while it returns series. wait: for how many seconds it must hold first.
    keep: for how many seconds the alert stays after the condition has ended.
    value: where it stays, the left side of the condition, of which its text tells.
    summary, description: templates, as Prometheus fills them in.
    sometimes: the severity for a box that is not always on, whose target has a label ``presence: sometimes``;
    empty: the same.
    page: the uid of its dashboard, of all boxes; empty: its domain's, of the box that it fires for.
    """

    name: str
    severity: Severity
    expr: str
    wait: int = 0
    keep: int = 0
    value: str = ""
    summary: str
    description: str
    sometimes: Literal["", "warning", "info"] = ""
    page: str = ""

    def rule(self, domain: str, grafana: str = GRAFANA, runbooks: str = RUNBOOKS) -> dict[str, Any]:
        """The rule as it stands in a rule file.

        Args:
            domain: the part of the box, as in ``grid:health:code``.
            grafana: where the dashboards are.
            runbooks: where the runbooks are.
        """
        rule: dict[str, Any] = {"alert": self.name, "expr": self._expr()}
        if self.wait:
            rule["for"] = span(self.wait)
        if self.keep:
            rule["keep_firing_for"] = span(self.keep)
        rule["labels"] = {"severity": self._severity(), "domain": domain}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "dashboard_url": f"{grafana}/d/{self.page or f'grid-{domain}?var-instance={BOX}'}",
            "runbook_url": f"{runbooks}/{self.name}.md",
        }
        return rule

    def _expr(self) -> str:
        """The condition; of an alert that stays, also that it fired when Prometheus restarted.

        Prometheus forgets then which alerts stay. For some minutes each that fired fires on, and then stays.
        """
        if not self.keep:
            return self.expr
        fired = f'ALERTS{{alertname="{self.name}", alertstate="firing"}}'
        restarted = f'changes(process_start_time_seconds{{job="prometheus"}}[{span(GAP_SECONDS)}]) > 0'
        return (
            f"{self.expr}\nor\n(\n{self.value}\n)\n"
            f"and max without (alertname, alertstate, severity, domain) ({fired})\nand on () {restarted}"
        )

    def _severity(self) -> str:
        if not self.sometimes:
            return self.severity
        otherwise = f"{{{{ else }}}}{self.severity}{{{{ end }}}}"
        return f'{{{{ if eq $labels.presence "sometimes" }}}}{self.sometimes}{otherwise}'
