"""Copies of the project's own files for a stack on loopback: the same in all but addresses and intervals."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]


def prometheus(
    folder: Path, targets: Mapping[str, str], *, here: str, alertmanager: str, interval: str
) -> Path:
    """Copies prometheus.yml with its rules and targets.

    Args:
        folder: where to.
        targets: the boxes' names, and their exporters' addresses.
        here: Prometheus's own address.
        alertmanager: Alertmanager's.
        interval: how often to scrape and to look at the rules, such as ``15s``.

    Returns:
        The configuration file.

    Raises:
        ValueError: prometheus.yml does not hold what is to be replaced.
    """
    shutil.copytree(PROJECT / "prometheus/rules", folder / "rules")
    (folder / "targets").mkdir()
    boxes = [{"targets": [where], "labels": {"instance": name}} for name, where in targets.items()]
    (folder / "targets/grid.yml").write_text(yaml.safe_dump(boxes), "utf-8")
    text = (PROJECT / "prometheus/prometheus.yml").read_text("utf-8")
    for before, after in {
        r"localhost:9090": here,
        r"localhost:9093": alertmanager,
        r"(?<=scrape_interval: )\w+": interval,
        r"(?<=scrape_timeout: )\w+": interval,
        r"(?<=evaluation_interval: )\w+": interval,
    }.items():
        text, count = re.subn(before, after, text)
        if count == 0:
            raise ValueError(f"prometheus.yml does not hold {before}")
    path = folder / "prometheus.yml"
    path.write_text(text, "utf-8")
    return path


def alertmanager(folder: Path, sink: str) -> Path:
    """Copies alertmanager.yml, with every receiver that sends a webhook at ``sink``/NAME.

    Nothing leaves the machine, and nothing waits for the day: somebody is watching.
    """
    config = yaml.safe_load((PROJECT / "prometheus/alertmanager.yml").read_text("utf-8"))
    config["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": f"{sink}/{receiver['name']}"}]}
        if len(receiver) > 1
        else receiver
        for receiver in config["receivers"]
    ]
    for interval in config["time_intervals"]:
        interval["time_intervals"] = [{"weekdays": ["sunday:saturday"]}]
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return path


def grafana(folder: Path, prometheus_url: str, interval: str) -> dict[str, str]:
    """Copies the provisioning, and returns the environment that Grafana needs for it.

    Whoever opens it is let in as a viewer, and it asks nobody on the Internet for news or updates.
    """
    provisioning, dashboards = folder / "provisioning", PROJECT / "grafana/dashboards"
    shutil.copytree(PROJECT / "grafana/provisioning", provisioning)
    _replace(provisioning / "datasources/grid.yaml", {"url": prometheus_url, "timeInterval": interval})
    _replace(provisioning / "dashboards/grid.yaml", {"path": str(dashboards)})
    return {
        "GF_PATHS_DATA": f"{folder}/grafana",
        "GF_PATHS_LOGS": f"{folder}/grafana",
        "GF_PATHS_PLUGINS": f"{folder}/grafana/plugins",
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(dashboards / "grid-overview.json"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_ENABLED": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    }


def _replace(path: Path, values: Mapping[str, str]) -> None:
    """Gives keys of a YAML file other values, whatever stood there.

    Raises:
        ValueError: the file has no such key.
    """
    text = path.read_text("utf-8")
    for key, value in values.items():
        line = re.search(rf"^ *{key}: ", text, re.MULTILINE)
        if line is None:
            raise ValueError(f"{path.name} does not hold {key}")
        rest = text[line.end() :].partition("\n")[2]
        text = f"{text[: line.end()]}{json.dumps(value)}\n{rest}"
    path.write_text(text, "utf-8")
