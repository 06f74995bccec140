"""prometheus.yml, its targets and alertmanager.yml load as they are, and with all that they offer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.prometheus.promtool import FOLDER, errors_of, load, needs_amtool, needs_promtool, run

OFFERED = re.compile(r"^( *)#(?=[\w-])", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of prometheus/ to write in, with a file for every secret that the configuration names."""
    copy = shutil.copytree(
        FOLDER, tmp_path / "prometheus", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    (copy / "secrets").mkdir()
    for name in ("ca.pem", "prometheus.pem", "prometheus.key", "grid-token", "grid-password"):
        (copy / "secrets" / name).write_text("secret")
    return copy


def switch_on(path: Path, leave: str) -> None:
    """Switches on every setting that the file offers, but those lines that hold ``leave``."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line if leave in line else OFFERED.sub(r"\1", line) for line in lines))


def found(config: Path, job: str) -> list[dict[str, str]]:
    """The labels of a job's targets, as Prometheus finds and relabels them."""
    done = run("promtool", "check", "service-discovery", "--timeout=2s", config, job)  # it waits that long
    assert done.returncode == 0, done.stderr
    return [target["labels"] for target in json.loads(done.stdout)]


@needs_promtool
def test_prometheus_takes_its_configuration() -> None:
    """It loads as it is committed, with both rule files."""
    done = run("promtool", "check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert "2 rule files found" in done.stdout


@needs_promtool
@pytest.mark.parametrize("left_out", ["basic_auth:", "authorization:"])
def test_prometheus_takes_every_setting_that_is_offered(folder: Path, left_out: str) -> None:
    """TLS, a client certificate, a token or a password, remote_write: switched on, they load."""
    switch_on(folder / "prometheus.yml", left_out)
    grid, *_ = load(folder / "prometheus.yml")["scrape_configs"]
    assert {"scheme", "tls_config"} <= grid.keys()
    assert ("basic_auth" in grid) != ("authorization" in grid)
    assert errors_of("promtool", "check", "config", "--syntax-only", folder / "prometheus.yml") == ""


@needs_promtool
def test_targets_as_committed(folder: Path) -> None:
    """The exporter beside Prometheus is watched under its host's name, and nobody's Tor."""
    (box,) = found(folder / "prometheus.yml", "grid")
    assert (box["instance"], box["__address__"]) == ("localhost", "localhost:10058")
    assert found(folder / "prometheus.yml", "tor") == []


@needs_promtool
def test_targets_that_are_offered(folder: Path) -> None:
    """The examples in the target files are good ones, and make Tor and exporter the same box."""
    for name in ("grid.yml", "tor.yml"):
        path = folder / "targets" / name
        path.write_text(path.read_text().replace("[]\n", ""))
        switch_on(path, "\0")
    # A set: Prometheus tells of the groups in whatever order it found them.
    assert {box["instance"] for box in found(folder / "prometheus.yml", "grid")} == {
        "atlas",
        "vega",
        "altair",
    }
    assert [box["instance"] for box in found(folder / "prometheus.yml", "tor")] == ["localhost"]


@needs_promtool
def test_a_box_is_named_without_its_port(folder: Path) -> None:
    """Its own label wins, else its address as it is, less the port."""
    boxes: list[tuple[str, dict[str, str], str]] = [
        ("vega:10058", {}, "vega"),
        ("vega.lan.example.org:10058", {}, "vega.lan.example.org"),
        ("192.0.2.7:10058", {}, "192.0.2.7"),
        ("[2001:db8::7]:10058", {}, "[2001:db8::7]"),
        ("192.0.2.8:10058", {"instance": "deneb"}, "deneb"),
        ("192.0.2.9:10058", {"instance": "deneb:2"}, "deneb:2"),
    ]
    targets = [{"targets": [address], "labels": labels} for address, labels, _ in boxes]
    (folder / "targets" / "grid.yml").write_text(json.dumps(targets))
    named = {box["__address__"]: box["instance"] for box in found(folder / "prometheus.yml", "grid")}
    assert named == {address: name for address, _, name in boxes}


@needs_promtool
def test_a_thousand_boxes(folder: Path) -> None:
    """As many as one likes, from several files, each under a name of its own."""
    for part in range(10):
        boxes = [f"box{part}{number:02}:10058" for number in range(100)]
        (folder / "targets" / f"grid-{part}.yml").write_text(json.dumps([{"targets": boxes}]))
    names = {box["instance"] for box in found(folder / "prometheus.yml", "grid")}
    assert len(names - {"localhost"}) == 1000


@needs_amtool
def test_alertmanager_takes_its_configuration(folder: Path) -> None:
    """It loads as it is committed, and with every setting that it offers switched on."""
    for switched in (False, True):
        if switched:
            switch_on(folder / "alertmanager.yml", "\0")
        assert errors_of("amtool", "check-config", folder / "alertmanager.yml") == ""


@needs_amtool
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical", "phone-loud"),
        ("severity=warning", "phone"),
        ("severity=info", "email"),
        ("severity=unheard-of", "email"),
        ("alertname=GridWatchdog", "dead-mans-switch"),
        ("alertname=GridNotificationsFailing severity=critical", "email,phone-loud"),
    ],
)
def test_an_alert_has_its_receiver(labels: str, receiver: str) -> None:
    """Critical wakes somebody, a warning is shown, the watchdog goes outside, the rest is written."""
    config = FOLDER / "alertmanager.yml"
    done = run("amtool", "config", "routes", "test", f"--config.file={config}", *labels.split())
    assert (done.returncode, done.stdout.strip()) == (0, receiver)


def test_nothing_is_sent_to_anybody_before_it_is_set_up() -> None:
    """As committed, every address is one that leads nowhere: nobody else may read of a box's problems."""
    receivers: list[dict[str, Any]] = load(FOLDER / "alertmanager.yml")["receivers"]
    addresses = re.findall(r"(?:https?://|@)([\w.-]+)", json.dumps(receivers))
    assert set(addresses) == {"ntfy.example.org", "example.org", "localhost"}


def test_no_secret_stands_in_a_configuration() -> None:
    """Passwords and tokens are read from files."""
    for name in ("prometheus.yml", "alertmanager.yml"):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"^\s*#?\s*\w*(password|credentials|token)\s*:", text, flags=re.MULTILINE), name
