"""``make stack`` and ``make demo``, as a person runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.daemon import PROJECT
from tests.grafana.dashboards import UIDS

TIMEOUT = 90.0
STARTED = "Ctrl-C ends it all."


@contextmanager
def running(module: str, tmp_path: Path, path: str = os.environ["PATH"]) -> Iterator[dict[str, str]]:
    """Runs it until Ctrl-C; gives what it prints of each program. It must leave nothing behind."""
    env = os.environ | {"PATH": path, "TMPDIR": str(tmp_path)}
    argv = [sys.executable, "-m", module]
    with subprocess.Popen(argv, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield addresses(process.stdout)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []
    assert left(tmp_path) == []


def addresses(output: IO[str]) -> dict[str, str]:
    """What stands behind each program's name in the greeting."""
    found = {}
    for line in output:
        if match := re.fullmatch(r"  (\w+) +(.+)\n", line):
            found[match[1]] = match[2]
        if STARTED in line:
            return found
    raise AssertionError(f"it ended after {found}")


def left(folder: Path) -> list[str]:
    """The command lines that still name the folder."""
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [line for line in lines if str(folder) in line]


def wait_for(url: str, query: str) -> str:
    """The first value that a query gives, as soon as it gives one."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        asked = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{url}/api/v1/query?{asked}") as response:
            result = json.load(response)["data"]["result"]
        if result:
            return str(result[0]["value"][1])
        time.sleep(0.2)
    raise AssertionError(f"{query} gives nothing")


@pytest.mark.real("prometheus", "prometheus-alertmanager", "ps")
def test_demo_shows_an_invented_box(tmp_path: Path) -> None:
    """Cards, containers and the rest come up in Prometheus, an alert begins; Ctrl-C leaves nothing behind."""
    with running("tests.box.demo", tmp_path) as programs:
        assert wait_for(programs["Prometheus"], 'count(grid_gpu_info{instance="demo"})') == "2"
        assert wait_for(programs["Prometheus"], 'count(grid_container_info{instance="demo"}) > 10')
        assert wait_for(programs["Prometheus"], 'grid_gpu_asleep{instance="strix-halo"} == 1')
        assert wait_for(programs["Prometheus"], 'ALERTS{alertname="GridContainerUnhealthy"}') == "1"
        with urllib.request.urlopen(f"{programs['Alertmanager']}/-/healthy") as response:
            assert response.status == 200


@pytest.mark.grafana
@pytest.mark.real("prometheus", "prometheus-alertmanager", "ps")
def test_grafana_is_provisioned(tmp_path: Path) -> None:
    """It has every dashboard, reaches Prometheus through its data source, and logs no error."""
    with running("tests.box.demo", tmp_path) as programs:
        wait_for(programs["Prometheus"], "grid_gpus")
        with urllib.request.urlopen(f"{programs['Grafana']}/api/search?type=dash-db") as response:
            assert {page["uid"] for page in json.load(response)} >= set(UIDS)
        source = {"type": "prometheus", "uid": "grid-prometheus"}
        asked = {"refId": "A", "datasource": source, "expr": "grid_gpus", "instant": True}
        request = urllib.request.Request(
            f"{programs['Grafana']}/api/ds/query",
            json.dumps({"queries": [asked], "from": "now-5m", "to": "now"}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["results"]["A"]["frames"]
        (log,) = tmp_path.glob("grid-stack-*/grafana.log")
        assert [line for line in log.read_text("utf-8").splitlines() if "level=error" in line] == []


@pytest.mark.real("prometheus", "prometheus-alertmanager", "ps")
def test_stack_shows_this_machine(tmp_path: Path) -> None:
    """The exporter with what this machine has, scraped by Prometheus with the project's files."""
    with running("prometheus.stack", tmp_path) as programs:
        assert wait_for(programs["Prometheus"], 'grid_memory_total_bytes{job="grid"} > 0')
        assert programs["exporter"].startswith("http://127.0.0.1:")


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    """Without Prometheus and the others the exporter runs all the same, and prints how to install each."""
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "env"):
        (bare / tool).symlink_to(str(shutil.which(tool)))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running("tests.box.demo", temporary, str(bare)) as programs:
        assert programs["Prometheus"] == "not installed here: apt install prometheus"
        assert programs["Alertmanager"] == "not installed here: apt install prometheus-alertmanager"
        assert programs["Grafana"].startswith("not installed here: ")
        with urllib.request.urlopen(f"{programs['exporter']}/metrics") as response:
            assert 'grid_gpus{vendor="nvidia"} 2.0' in response.read().decode()
