"""compose.yaml on a real Docker daemon, with images of Debian's own programs under the same names."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.daemon import PROJECT, Daemon, daemon, free_port
from tests.real.dockerd import Docker, until

pytestmark = [
    pytest.mark.real("dockerd", "docker-compose", "prometheus", "prometheus-alertmanager", "busybox"),
    pytest.mark.timeout(1800),
]

PORTS = ("PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
# In Grafana's place: whether all that it needs is mounted, and then nothing.
GRAFANA = """
set -e
ls /var/lib/grafana/dashboards/*.json
cat /tmp/provisioning/dashboards/grid.yaml /tmp/provisioning/datasources/grid.yaml
exec sleep 1000000
"""


@pytest.fixture
def environment(tmp_path: Path, docker: Docker) -> dict[str, str]:
    """What docker-compose is called with: free ports, a topic, the daemon."""
    ports = {name: str(free_port()) for name in PORTS}
    return {
        **os.environ,
        **ports,
        "NTFY_URL": "http://127.0.0.1:9/a-topic",
        "DOCKER_HOST": f"unix://{docker.socket}",
        "HOME": str(tmp_path),
    }


def compose(project: Path, environment: dict[str, str], *arguments: str) -> str:
    """Runs docker-compose, which has to succeed."""
    done = subprocess.run(
        ["docker-compose", "-p", "grid", *arguments],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def image(*programs: str, script: str = "") -> bytes:
    """A root file system of busybox and these programs of the machine, with the libraries that they need."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(os.path.realpath(shutil.which("busybox") or ""), "bin/busybox")
        for tool in ("sh", "sed", "cp", "cat", "ls", "sleep", "wget"):
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for program in programs:
            path = shutil.which(program) or ""
            tar.add(os.path.realpath(path), f"bin/{program.removeprefix('prometheus-')}")
            libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
            for library in re.findall(r"(/\S+) \(0x", libraries):
                tar.add(os.path.realpath(library), library.lstrip("/"))
        # The message templates that Debian's Alertmanager has in files.
        tar.add("/usr/share/prometheus/alertmanager", "usr/share/prometheus/alertmanager")
        for folder in ("tmp", "prometheus", "alertmanager", "var/lib/grafana"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(made)
        if script:
            file = tarfile.TarInfo("run.sh")
            text = f"#!/bin/sh\n{script}".encode()
            file.size, file.mode = len(text), 0o755
            tar.addfile(file, io.BytesIO(text))
    return archive.getvalue()


def ask(port: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.load(answer)


def answers(port: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Daemon]:
    """An exporter on this machine, as `make run` starts one."""
    with daemon(tmp_path, "probes: {host: {}}\n") as running:
        yield running


def test_images_are_pinned(environment: dict[str, str]) -> None:
    """Each has a version, and everything listens on loopback alone."""
    services = yaml.safe_load(compose(PROJECT, environment, "config"))["services"]
    assert set(services) == {"prometheus", "alertmanager", "grafana"}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", it["image"]) for it in services.values())
    assert all(it["network_mode"] == "host" and it["healthcheck"] for it in services.values())


def test_up(docker: Docker, environment: dict[str, str], exporter: Daemon, tmp_path: Path) -> None:
    """The target is up, the rules are loaded, the topic is set, Grafana has all that it needs."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("compose.yaml", "prometheus", "grafana"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, project / name)
    (project / "prometheus/targets/grid.yml").write_text(f'- targets: ["localhost:{exporter.port}"]\n')
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    images = {name: service["image"] for name, service in services.items()}
    docker("import", "-", images["prometheus"], stdin=image("prometheus"))
    docker("import", "-", images["alertmanager"], stdin=image("prometheus-alertmanager"))
    docker("import", "-", images["grafana"], stdin=image(script=GRAFANA))
    prometheus, alertmanager = environment["PROMETHEUS_PORT"], environment["ALERTMANAGER_PORT"]
    try:
        compose(project, environment, "up", "-d")
        until(lambda: answers(prometheus, "/-/ready") and answers(alertmanager, "/-/ready"))
        until(lambda: any(
            it["labels"]["job"] == "grid" and it["health"] == "up"
            for it in ask(prometheus, "/api/v1/targets")["data"]["activeTargets"]
        ))  # fmt: skip
        groups = ask(prometheus, "/api/v1/rules")["data"]["groups"]
        assert {group["name"] for group in groups} >= {"grid", "grid-gpu", "grid-exporter"}
        until(lambda: ask(prometheus, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
        config = ask(alertmanager, "/api/v2/status")["config"]["original"]
        assert "ntfy.example.org" not in config
        shown = compose(project, environment, "logs", "--no-color", "grafana")
        assert shown.count("dashboards/grid-") == len(list(PROJECT.glob("grafana/dashboards/*.json")))
        assert f"http://127.0.0.1:{prometheus}" in shown
    finally:
        compose(project, environment, "down", "--volumes", "--timeout", "1")
