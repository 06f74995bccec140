"""The committed rule files: written by the Python beside them, and sound as a whole."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prometheus import recording
from prometheus.alerts import DOMAINS
from prometheus.expressions import JOB
from prometheus.generate import files
from tests.declared import families
from tests.prometheus.promtool import FOLDER, alert_rules, errors_of, load, needs_promtool, selectors

DECLARED = families()
DASHBOARD = re.compile(
    r"http://localhost:3000/d/([\w-]+)(\?var-instance=\{\{ \$labels\.instance \| urlquery \}\})?"
)
# What Prometheus and the Python process report of themselves.
FOREIGN = {"up": {"presence"}, "process_start_time_seconds": {"command"}}
MONITORING = {name for name, rule in alert_rules().items() if rule["labels"]["domain"] == "monitoring"}


def recording_rules() -> list[dict[str, Any]]:
    """Every committed recording rule."""
    (group,) = load(FOLDER / "rules" / "recording.yml")["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


EXPRESSIONS = {
    **{name: rule["expr"] for name, rule in alert_rules().items()},
    **{f"{rule['record']} {rule.get('labels', {})}": rule["expr"] for rule in recording_rules()},
}


def test_the_files_are_what_python_writes() -> None:
    """`python -m prometheus` would change nothing."""
    folder = FOLDER / "rules"
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == files()


@needs_promtool
def test_promtool_finds_no_error() -> None:
    """The rules load, and none stands twice."""
    rules = (FOLDER / "rules").iterdir()
    assert errors_of("promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules) == ""


@pytest.mark.parametrize("rule", sorted(EXPRESSIONS.keys() - MONITORING))
def test_every_selector_names_our_jobs(rule: str) -> None:
    """No rule reads another exporter's series of the same name, nor one that ours does not have."""
    # When Prometheus itself was started is the one thing that they read of it.
    read = list(selectors(EXPRESSIONS[rule].replace('process_start_time_seconds{job="prometheus"}', "")))
    assert read
    for name, matchers in read:
        assert JOB in matchers.split(", "), f"{name} without {JOB}"
        assert name in FOREIGN or name in DECLARED, f"{name} is declared nowhere"
        labels = set(re.findall(r"(\w+)[=!]~?\"", matchers)) - {"job"}
        assert labels <= (DECLARED | FOREIGN)[name], f"{name} has no {labels}"


@pytest.mark.parametrize("name", sorted(MONITORING))
def test_alerts_of_the_monitoring_name_its_jobs(name: str) -> None:
    """They read the metrics of jobs that the shipped prometheus.yml scrapes, and of no others."""
    jobs = {job["job_name"] for job in load(FOLDER / "prometheus.yml")["scrape_configs"]}
    read = re.findall(r"(\w+)\{([^}]*)\}", alert_rules()[name]["expr"])
    assert read or name == "GridWatchdog"
    for metric, matchers in read:
        job = re.fullmatch(r'job="(prometheus|alertmanager)"', matchers)
        assert job
        assert job[1] in jobs
        assert metric.startswith((job[1], "up"))


@pytest.mark.parametrize("name", alert_rules())
def test_an_alert_has_labels_links_and_text(name: str) -> None:
    """Labels to sort it by, the box in its text, a dashboard that exists, a runbook of its name."""
    rule = alert_rules()[name]
    assert re.fullmatch(r"Grid[A-Z][A-Za-z]+", name)
    severities = set(re.sub(r"{{.*?}}", " ", rule["labels"]["severity"]).split())
    assert severities <= {"none" if name == "GridWatchdog" else "critical", "warning", "info"}
    assert rule["labels"]["domain"] in DOMAINS
    words = rule["annotations"]
    assert words["runbook_url"].endswith(f"/prometheus/runbooks/{name}.md")
    link = DASHBOARD.fullmatch(words["dashboard_url"])
    assert link
    assert (FOLDER.parent / "grafana" / "dashboards" / f"{link[1]}.json").is_file()
    assert bool(link[2]) == (link[1] != "grid-fleet")
    for kind in ("summary", "description"):
        assert "{{ $labels.instance }}" in words[kind] or link[1] == "grid-fleet"
    plain = re.sub(r"\{\{ with .*?\{\{ end \}\}", "27.4GiB", words["description"])
    assert len(words["summary"]) < len(plain) <= 300
    assert "\n" not in words["summary"] + words["description"]


@pytest.mark.parametrize("name", alert_rules())
def test_a_share_comes_with_the_amount(name: str) -> None:
    """Of memory and space it is the bytes that tell a person how bad it is: 3 % of 16 TB is a lot."""
    rule = alert_rules()[name]
    share = "_bytes" in rule["expr"] and "humanizePercentage" in str(rule["annotations"])
    assert not share or "humanize1024 }}B" in rule["annotations"]["description"]


def test_labels_in_annotations_are_those_of_the_series() -> None:
    """No alert reads "GPU  in atlas" because its series has no such label, or lost it on the way."""
    for name, rule in alert_rules().items():
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) - {"instance", "job"}
        known = set().union(*(DECLARED.get(metric, set()) for metric, _ in selectors(rule["expr"])))
        assert used <= known or name in MONITORING, name


def test_each_series_is_recorded_by_one_rule() -> None:
    """Every domain's code and problems and every aggregate are recorded by one rule."""
    recorded = [(rule["record"], rule.get("labels", {}).get("domain", "")) for rule in recording_rules()]
    assert len(recorded) == len(set(recorded))
    assert {record for record, _ in recorded} == {recording.HEALTH, recording.PROBLEM, *recording.AGGREGATES}
    assert {domain for record, domain in recorded if record == recording.HEALTH} == set(DOMAINS) - {
        "monitoring"
    }
