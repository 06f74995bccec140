"""The committed files are what the Python writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from grafana.generate import DASHBOARDS, render, write
from tests.grafana import dashboards

GRAFANA = DASHBOARDS.parent


def test_committed_dashboards_are_what_is_generated() -> None:
    """`python -m grafana` would change nothing, and no file is left over from a page that is gone."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.iterdir()}
    assert committed == render()


def test_generation_writes_every_page(tmp_path: Path) -> None:
    """What is written can be read again, and nothing depends on the order of a set or the time of day."""
    write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(dashboards.UIDS)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == render()


def test_the_sdk_is_imported_without_a_warning() -> None:
    """The SDK's advice to use the new schema, which Grafana refuses from files, is filtered."""
    command = [sys.executable, "-W", "error", "-c", "import grafana.generate"]
    ran = subprocess.run(command, cwd=GRAFANA.parent, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_dashboards_are_classic() -> None:
    """Bare classic JSON of schema 42, which file provisioning takes in every version from 11 to 13."""
    for dashboard in dashboards.ALL:
        assert dashboard["schemaVersion"] == 42
        assert not {"apiVersion", "kind", "spec", "__inputs"} & dashboard.keys()


def test_no_link_or_toggle_hides_behind_a_button() -> None:
    """The SDK's default placement would put links and annotations' toggles into a menu."""
    assert not [page["uid"] for page in dashboards.ALL if "inControlsMenu" in json.dumps(page)]


def test_provisioning_names_what_the_dashboards_ask_for() -> None:
    """The data source is the default Prometheus; what is edited in the browser could not be kept."""
    source = _provisioned("datasources")["datasources"][0]
    provider = _provisioned("dashboards")["providers"][0]
    assert (source["type"], source["isDefault"], source["editable"]) == ("prometheus", True, False)
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert Path(provider["options"]["path"]).is_absolute()


def _provisioned(what: str) -> dashboards.Json:
    (path,) = (GRAFANA / "provisioning" / what).glob("*.yaml")
    loaded: dashboards.Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded
