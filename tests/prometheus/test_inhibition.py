"""A real Alertmanager with the committed inhibition rules: a cause is sent, what follows from it is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.daemon import TIMEOUT, free_port
from tests.prometheus.promtool import FOLDER, alert_rules, load

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
pytestmark = pytest.mark.skipif(not ALERTMANAGER, reason="not installed: prometheus-alertmanager")

# Each box has problems of its own: alerts that fire there, and those of them that are sent. Together they try
# every inhibition rule, each where no other one would do the same, and alerts beside them that stay.
BOXES: dict[str, tuple[list[dict[str, str]], list[str]]] = {
    "silent": (
        [
            {"alertname": "GridExporterDown"},
            {"alertname": "GridGpuHot", "gpu": "0"},
            {"alertname": "GridDiskLow"},
        ],
        ["GridExporterDown"],
    ),
    "without-engine": (
        [
            {"alertname": "GridContainerEngineDown"},
            {"alertname": "GridContainerDown", "container": "web"},
            {"alertname": "GridContainerUnwatched", "container": "web"},
            {"alertname": "GridServiceFailed", "name": "docker.service"},
        ],
        ["GridContainerEngineDown", "GridServiceFailed"],
    ),
    "without-card": (
        [
            {"alertname": "GridGpuGone"},
            {"alertname": "GridProbeFailing", "probe": "gpu"},
            {"alertname": "GridProbeFailing", "probe": "gpu:amd"},
            {"alertname": "GridProbeFailing", "probe": "tor"},
        ],
        ["GridGpuGone", "GridProbeFailing"],
    ),
    "stuck": (
        [
            {"alertname": "GridProbeStuck", "probe": "disk:/nas"},
            {"alertname": "GridProbeFailing", "probe": "disk:/nas"},
            {"alertname": "GridProbeStale", "probe": "disk:/nas"},
            {"alertname": "GridProbeStale", "probe": "disk:/ai"},
        ],
        ["GridProbeStale", "GridProbeStuck"],
    ),
    "failing": (
        [{"alertname": "GridProbeFailing", "probe": "tor"}, {"alertname": "GridProbeStale", "probe": "tor"}],
        ["GridProbeFailing"],
    ),
    "full": (
        [
            {"alertname": "GridDiskFull", "mountpoint": "/ai"},
            {"alertname": "GridDiskFullSoon", "mountpoint": "/ai"},
            {"alertname": "GridDiskLow", "mountpoint": "/"},
            {"alertname": "GridDirectoryUnreadable", "path": "/ai"},
            {"alertname": "GridMemoryLow"},
        ],
        ["GridDirectoryUnreadable", "GridDiskFull", "GridDiskLow", "GridMemoryLow"],
    ),
    "full-soon": (
        [
            {"alertname": "GridDiskFullSoon", "mountpoint": "/ai"},
            {"alertname": "GridDiskLow", "mountpoint": "/ai"},
            {"alertname": "GridDiskFilling", "mountpoint": "/"},
        ],
        ["GridDiskFilling", "GridDiskFullSoon"],
    ),
    "low": (
        [
            {"alertname": "GridDiskLow", "mountpoint": "/ai"},
            {"alertname": "GridDiskFilling", "mountpoint": "/ai"},
            {"alertname": "GridDiskFilling", "mountpoint": "/"},
        ],
        ["GridDiskFilling", "GridDiskLow"],
    ),
    "reset": (
        [
            {"alertname": "GridGpuNeedsReset", "gpu": "0"},
            {"alertname": "GridGpuResetPending", "gpu": "0"},
            {"alertname": "GridGpuThrottled", "gpu": "0"},
        ],
        ["GridGpuNeedsReset", "GridGpuThrottled"],
    ),
    "hot": (
        [
            {"alertname": "GridGpuHot", "gpu": "0"},
            {"alertname": "GridGpuThrottled", "gpu": "0"},
            {"alertname": "GridGpuThrottled", "gpu": "1"},
        ],
        ["GridGpuHot", "GridGpuThrottled"],
    ),
    # A server that is down says nothing of another's queue.
    "two-servers": (
        [
            {"alertname": "GridLlmServerDown", "server": "vllm"},
            {"alertname": "GridLlmLoadingLong", "server": "vllm"},
            {"alertname": "GridLlmLoadingLong", "server": "ollama"},
        ],
        ["GridLlmLoadingLong", "GridLlmServerDown"],
    ),
    "changed": (
        [
            {"alertname": "GridAideUnexplained"},
            {"alertname": "GridAideFindings"},
            {"alertname": "GridAideFindingsAgain"},
        ],
        ["GridAideUnexplained"],
    ),
    "inodes": ([{"alertname": "GridInodesOut"}, {"alertname": "GridInodesLow"}], ["GridInodesOut"]),
    "out-of-memory": (
        [
            {"alertname": "GridMemoryNearlyOut"},
            {"alertname": "GridMemoryLow"},
            {"alertname": "GridMemoryPressure"},
            {"alertname": "GridSwapFull"},
            {"alertname": "GridHostRebooted"},
        ],
        ["GridHostRebooted", "GridMemoryNearlyOut"],
    ),
    "failed": (
        [
            {"alertname": "GridServiceFailed", "name": "ollama.service"},
            {"alertname": "GridServiceRestarting", "name": "ollama.service"},
            {"alertname": "GridServiceRestarting", "name": "caddy.service"},
            {"alertname": "GridServiceUnitsFailed"},
        ],
        ["GridServiceFailed", "GridServiceRestarting", "GridServiceUnitsFailed"],
    ),
    "crashing": (
        [
            {"alertname": "GridContainerRestarting", "container": "vllm"},
            {"alertname": "GridContainerDown", "container": "vllm"},
            {"alertname": "GridContainerUnhealthy", "container": "vllm"},
            {"alertname": "GridContainerUnhealthy", "container": "web"},
        ],
        ["GridContainerRestarting", "GridContainerUnhealthy"],
    ),
    "wrong-clock": (
        [
            {"alertname": "GridClockSkew"},
            {"alertname": "GridProbeStale", "probe": "disk"},
            {"alertname": "GridServiceTimerOverdue", "name": "backup.timer"},
            {"alertname": "GridAideCheckOverdue"},
            {"alertname": "GridHostRebooted"},
            {"alertname": "GridAideFindings"},
        ],
        ["GridAideFindings", "GridClockSkew"],
    ),
}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Alertmanager on loopback with the committed configuration, whose receivers send nothing."""
    home = tmp_path_factory.mktemp("alertmanager")
    config = load(FOLDER / "alertmanager.yml")
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    (home / "alertmanager.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(ALERTMANAGER, f"--config.file={home}/alertmanager.yml", f"--storage.path={home}/data"),
                *(f"--web.listen-address={address}", "--cluster.listen-address="),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(f"http://{address}/-/ready", home / "log")
        yield f"http://{address}/api/v2/alerts"
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT)


def wait_until_ready(url: str, log: Path) -> None:
    """Waits until somebody answers; fails with the log where nobody does."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


def request_json(url: str, body: Any = None) -> Any:
    """Alertmanager's answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read() or "null")


def firing(alert: dict[str, str], box: str) -> dict[str, Any]:
    """An alert as Prometheus sends it, with the labels of its rule."""
    rule = alert_rules().get(alert["alertname"], {"labels": {"severity": "warning", "domain": "exporter"}})
    return {"labels": {**rule["labels"], "job": "grid", "instance": box, **alert}}


@pytest.fixture(scope="module")
def sent(alertmanager: str) -> dict[str, list[str]]:
    """The alerts of each box that nothing inhibits, when all of it happens at once."""
    request_json(alertmanager, [firing(alert, box) for box, (alerts, _) in BOXES.items() for alert in alerts])
    expected = {box: names for box, (_, names) in BOXES.items()}
    end = time.monotonic() + TIMEOUT
    while (names := active(alertmanager)) != expected and time.monotonic() < end:
        time.sleep(0.1)
    return names


def active(alertmanager: str) -> dict[str, list[str]]:
    """Each box's alerts that nothing inhibits, by name."""
    names: dict[str, list[str]] = {box: [] for box in BOXES}
    for alert in request_json(alertmanager):
        if alert["status"]["state"] == "active":
            names[alert["labels"]["instance"]].append(alert["labels"]["alertname"])
    return {box: sorted(found) for box, found in names.items()}


@pytest.mark.parametrize("box", BOXES)
def test_the_cause_is_sent_and_what_follows_is_not(sent: dict[str, list[str]], box: str) -> None:
    """What another alert explains is inhibited; what it does not, and what happens elsewhere, is sent."""
    _, expected = BOXES[box]
    assert sent[box] == expected
