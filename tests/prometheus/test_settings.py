"""One file switches alerts off and moves thresholds; nobody edits generated rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.strict_yaml import ConfigError
from prometheus import settings, thresholds
from prometheus.alerts import alerts
from tests.daemon import PROJECT
from tests.prometheus.promtool import FOLDER, alert_rules, errors_of, needs_promtool


def write(folder: Path, text: str) -> Path:
    """A file with these settings."""
    path = folder / "alerts.yml"
    path.write_text(text)
    return path


def generate(folder: Path, text: str, package: str = "prometheus") -> subprocess.CompletedProcess[str]:
    """Runs ``python -m prometheus`` with these settings, into the folder ``out``."""
    argv = [sys.executable, "-m", package, f"--settings={write(folder, text)}", f"--out={folder}/out"]
    return subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)


def rules(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The rules of a written file, by alert or record and domain."""
    groups = yaml.safe_load((folder / "out" / name).read_text())["groups"]
    return {
        rule.get("alert") or f"{rule['record']} {rule.get('labels', {}).get('domain', '')}": rule
        for group in groups
        for rule in group["rules"]
    }


def test_without_changes_the_rules_are_the_committed_ones(tmp_path: Path) -> None:
    """An empty file changes nothing."""
    assert generate(tmp_path, "").returncode == 0
    for path in (FOLDER / "rules").iterdir():
        assert (tmp_path / "out" / path.name).read_text() == path.read_text()


@pytest.mark.parametrize("name", alert_rules())
def test_each_alert_can_be_switched_off(name: str) -> None:
    """Its severity is none at all; that of the others is as it was."""
    chosen = settings.Settings(alerts={name: False})
    every = [alert for group in alerts().values() for alert in group]
    assert {alert.name for alert in every if not chosen.severity(alert.name, alert.severity)} == {name}


def test_an_alert_is_off_another_milder(tmp_path: Path) -> None:
    """The one has no rule, the other another severity, all others are as committed."""
    done = generate(tmp_path, "alerts: {GridGpuMemoryFull: off, GridAideFindings: warning, GridDiskFull: on}")
    assert (done.returncode, done.stderr) == (0, "")
    written, committed = rules(tmp_path, "alerts.yml"), alert_rules()
    assert committed.pop("GridGpuMemoryFull")
    committed["GridAideFindings"]["labels"]["severity"] = "warning"
    assert written == committed


@needs_promtool
def test_a_threshold_changes_alert_and_health(tmp_path: Path) -> None:
    """Both read the number from the file; promtool loads what comes of it."""
    assert generate(tmp_path, "thresholds: {gpu_hot_celsius: 95}").returncode == 0
    assert rules(tmp_path, "alerts.yml")["GridGpuHot"]["expr"].splitlines()[0].endswith(">= 95")
    assert ">= 95" in rules(tmp_path, "recording.yml")["grid:health:code gpu"]["expr"]
    assert errors_of("promtool", "check", "rules", *(tmp_path / "out").iterdir()) == ""


def test_a_threshold_changes_the_dashboards(tmp_path: Path) -> None:
    """The colours and the health of one box's pages follow."""
    assert generate(tmp_path, "thresholds: {gpu_hot_celsius: 95}", "grafana").returncode == 0
    written = (tmp_path / "out" / "grid-overview.json").read_text()
    assert ">= 95" in written
    assert written != (PROJECT / "grafana/dashboards/grid-overview.json").read_text()


def test_links_lead_where_the_file_says(tmp_path: Path) -> None:
    """To a Grafana and to runbooks of one's own."""
    text = "grafana: https://grafana.example.org/\nrunbooks: https://wiki.example.org/runbooks"
    assert generate(tmp_path, text).returncode == 0
    links = rules(tmp_path, "alerts.yml")["GridGpuHot"]["annotations"]
    assert links["dashboard_url"].startswith("https://grafana.example.org/d/grid-gpu?")
    assert links["runbook_url"] == "https://wiki.example.org/runbooks/GridGpuHot.md"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alert: {}", "alert: unknown key"),
        (
            "alerts: {GridDiskFul: off}",
            "alerts.GridDiskFul: there is no such alert; did you mean GridDiskFull?",
        ),
        (
            "alerts: {GridDiskFull: loud}",
            "alerts.GridDiskFull: expected off, on, critical or warning or info, got 'loud'",
        ),
        ("alerts: {GridDiskFull: 3}", "alerts.GridDiskFull: expected true or false or text"),
        ("alerts: [GridDiskFull]", "alerts: expected a mapping"),
        (
            "thresholds: {gpu_hot: 95}",
            "thresholds.gpu_hot: there is no such threshold; did you mean gpu_hot_celsius?",
        ),
        (
            "thresholds: {gpu_hot_celsius: hot}",
            "thresholds.gpu_hot_celsius: expected a whole number or a number",
        ),
        (
            "thresholds: {gpu_hot_celsius: 95.5}",
            "thresholds.gpu_hot_celsius: expected a whole number, got 95.5",
        ),
        ("thresholds: {disk_low_ratio: 5}", "thresholds.disk_low_ratio: expected a share from 0 to 1, got 5"),
        ("thresholds: {aide_overdue_seconds: -1}", "expected a number that is not negative, got -1"),
        ("grafana: grafana.lan", "grafana: expected an address that begins with http:// or https://"),
        ("alerts: {", "line 1"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """It names file, key and what was expected."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        settings.load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mistake_writes_nothing(tmp_path: Path) -> None:
    """It is reported with exit status 2, before any file is touched."""
    done = generate(tmp_path, "alerts: {GridNothing: off}")
    assert done.returncode == 2
    assert done.stderr.startswith(str(tmp_path / "alerts.yml"))
    assert not (tmp_path / "out").exists()


def test_the_example_is_good(tmp_path: Path) -> None:
    """As it is shipped it changes nothing; with all that it offers it loads."""
    text = (PROJECT / "systemd/alerts.example.yml").read_text()
    assert settings.load(write(tmp_path, text)) == settings.Settings()
    offered = re.sub(r"^#(?=  \S|\w)", "", text.replace(": {}", ":"), flags=re.MULTILINE)
    loaded = settings.load(write(tmp_path, offered))
    assert loaded.alerts == {"GridGpuMemoryFull": False, "GridAideFindings": "warning"}
    assert loaded.thresholds == {"gpu_hot_celsius": 95, "disk_low_ratio": 0.05}


def test_every_threshold_has_a_name_in_the_file() -> None:
    """All of thresholds.py can be set."""
    assert {name.upper() for name in settings.DEFAULTS} == {
        name for name in vars(thresholds) if name.isupper()
    }
