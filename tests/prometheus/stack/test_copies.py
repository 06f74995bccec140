"""The copies of the project's files that a stack runs with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from prometheus.stack import copies

SINK = "http://127.0.0.1:1"


def prometheus(folder: Path, interval: str = "5s") -> Path:
    return copies.prometheus(
        folder, {"vega": "127.0.0.1:2"}, here="127.0.0.1:3", alertmanager="127.0.0.1:4", interval=interval
    )


def test_prometheus_gets_addresses_and_nothing_else(tmp_path: Path) -> None:
    """In prometheus.yml only addresses and intervals differ from the project's; the rules are the same."""
    before = (copies.PROJECT / "prometheus/prometheus.yml").read_text("utf-8").splitlines()
    after = prometheus(tmp_path).read_text("utf-8").splitlines()
    changed = [line.strip() for line, other in zip(after, before, strict=True) if line != other]
    assert {line.partition(" #")[0] for line in changed} == {
        "scrape_interval: 5s",
        "scrape_timeout: 5s",
        "evaluation_interval: 5s",
        '- static_configs: [{targets: ["127.0.0.1:4"]}]',
        'static_configs: [{targets: ["127.0.0.1:3"]}]',
        'static_configs: [{targets: ["127.0.0.1:4"]}]',
    }
    for rules in (copies.PROJECT / "prometheus/rules").iterdir():
        assert (tmp_path / "rules" / rules.name).read_bytes() == rules.read_bytes()
    boxes = yaml.safe_load((tmp_path / "targets/grid.yml").read_text())
    assert boxes == [{"targets": ["127.0.0.1:2"], "labels": {"instance": "vega"}}]


def test_alerts_stay_on_the_machine(tmp_path: Path) -> None:
    """Every receiver that sends becomes a webhook here; routes and inhibitions are the project's."""
    before = yaml.safe_load((copies.PROJECT / "prometheus/alertmanager.yml").read_text("utf-8"))
    path = copies.alertmanager(tmp_path, SINK)
    after = yaml.safe_load(path.read_text("utf-8"))
    for receiver in after["receivers"]:
        name = receiver.pop("name")
        webhook = {"webhook_configs": [{"url": f"{SINK}/{name}"}]}
        assert receiver == ({} if name == "dead-mans-switch" else webhook)
    assert after["route"] == before["route"]
    assert after["inhibit_rules"] == before["inhibit_rules"]


@pytest.mark.real("promtool", "amtool")
def test_copies_are_good(tmp_path: Path) -> None:
    """Prometheus's and Alertmanager's own tools accept them."""
    subprocess.run(["promtool", "check", "config", prometheus(tmp_path)], check=True, capture_output=True)
    path = copies.alertmanager(tmp_path, SINK)
    subprocess.run(["amtool", "check-config", path], check=True, capture_output=True)


def test_grafana_finds_prometheus_and_the_dashboards(tmp_path: Path) -> None:
    """The provisioning names this stack's Prometheus and the project's dashboards; nobody else is asked."""
    env = copies.grafana(tmp_path, "http://127.0.0.1:5", "5s")
    (source,) = yaml.safe_load((tmp_path / "provisioning/datasources/grid.yaml").read_text())["datasources"]
    assert (source["url"], source["jsonData"]["timeInterval"]) == ("http://127.0.0.1:5", "5s")
    (provider,) = yaml.safe_load((tmp_path / "provisioning/dashboards/grid.yaml").read_text())["providers"]
    assert list(Path(provider["options"]["path"]).glob("*.json"))
    assert env["GF_PATHS_PROVISIONING"] == str(tmp_path / "provisioning")
    assert Path(env["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).is_file()
    assert env["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"


def test_a_file_that_changed_its_form_is_noticed(tmp_path: Path) -> None:
    """What can't be replaced is an error, never a stack that looks at another Prometheus."""
    (tmp_path / "file.yml").write_text("urls: x\n")
    with pytest.raises(ValueError, match=r"file\.yml does not hold url"):
        copies._replace(tmp_path / "file.yml", {"url": "y"})
