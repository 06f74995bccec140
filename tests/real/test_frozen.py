"""The whole exporter beside a real Docker that stands still: scrapes go on, and all is well when it does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemon import TIMEOUT, Daemon, daemon
from tests.faults.vitals import scraped, vitals
from tests.real.dockerd import FOR_EVER, Docker

pytestmark = pytest.mark.real("dockerd", "docker")

STATE = 'grid_container_state{container="web",state="running"}'


def until(exporter: Daemon, **wanted: float | None) -> dict[str, float]:
    """Scrapes until the containers probe's values are these; None stands for absent."""
    end = time.monotonic() + TIMEOUT
    while True:
        series = scraped(exporter)
        seen = {
            "success": series.get('grid_probe_success{probe="containers"}'),
            "stuck": series.get('grid_probe_stuck{probe="containers"}'),
            "running": series.get(STATE),
        }
        if all(seen[name] == value for name, value in wanted.items()):
            return series
        assert time.monotonic() < end, exporter.log.read_text()
        time.sleep(0.1)


def test_docker_stands_still(docker: Docker, tmp_path: Path) -> None:
    """Its tool hangs and is ended each time; what was known is shown for a while, then nothing; and back."""
    docker.start("web", *FOR_EVER)
    schedule = "ttl: 1s, wait: 1s, timeout: 2s"
    argv = ", ".join(docker.argv)
    config = f"probes: {{host: {{ttl: 1s}}, containers: {{command: [{argv}], {schedule}}}}}\n"
    try:
        with daemon(tmp_path, config) as exporter:
            until(exporter, success=1, running=1)
            with docker.frozen():
                until(exporter, success=0, stuck=0, running=1)
                series = until(exporter, success=0, stuck=0, running=None)
                assert series['grid_probe_success{probe="host"}'] == 1
                assert "containers: took longer than 2s and was ended" in exporter.log.read_text()
            until(exporter, success=1, running=1)
            assert vitals(exporter).descriptors < 20
            assert "Traceback" not in exporter.log.read_text()
    finally:
        docker.remove("web")
