"""Tools that can't be killed, file systems that don't answer, and a machine that lets no process start."""

from __future__ import annotations

import contextlib
import html
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.box.files import put
from tests.faults.boxed import TIMEOUT, Boxed, boxed, hurry
from tests.faults.vitals import vitals
from tests.real.cgroups import enter, frozen, group
from tests.real.test_disk import unanswered

pytestmark = pytest.mark.real("mount", "umount")

STUCK = 'grid_probe_stuck{{probe="{}"}}'
OTHERS = ("gpu", "services", "tor", "command:ups")


@contextlib.contextmanager
def stuck(fake_host: Boxed) -> Iterator[None]:
    """Has docker hang where nothing can end it, and waits until that shows."""
    fake_host.box.fault("docker", "hang")
    with frozen(_docker(fake_host)):
        fake_host.until(lambda series: series[STUCK.format("containers")] == 1)
        yield


def _docker(fake_host: Boxed) -> int:
    """The process of docker that hangs, once a scrape has started it."""
    found: list[int] = []

    def is_there(_: dict[str, float]) -> bool:
        for pid in fake_host.exporter.children():
            with contextlib.suppress(OSError):
                if b"\0docker\0ps\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return bool(found)

    fake_host.until(is_there)
    return found[0]


@pytest.fixture(scope="module")
def fake_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with boxed(tmp_path_factory.mktemp("unkillable")) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(fake_host: Boxed) -> dict[str, float]:
    """The values while nothing is wrong."""
    return fake_host.values()


def test_a_process_that_cannot_be_killed(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """Its probe is stuck and starts no second one; the rest is served; freed, all is well."""
    with stuck(fake_host):
        runs = len(fake_host.box.runs("docker"))
        for _ in range(2):
            series = fake_host.until_run(time.time(), dict.fromkeys(OTHERS, True))
            assert series[STUCK.format("containers")] == 1
            assert series['grid_probe_success{probe="containers"}'] == 0
        assert len(fake_host.box.runs("docker")) == runs
        assert "can't be killed; no new run until it is gone" in fake_host.exporter.log.read_text()
        assert "can't be killed" in html.unescape(fake_host.exporter.get("/")[1])
    fake_host.repair(healthy)
    assert fake_host.scrape()[STUCK.format("containers")] == 0


def test_a_reload_starts_no_second_one_either(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """New settings, the probe taken out, and put back: as long as the old process is there, none starts."""
    path = fake_host.box.directory / "config.yml"
    before = path.read_text()
    with stuck(fake_host):
        runs = len(fake_host.box.runs("docker"))
        hurry(fake_host.box, "3s")
        changed = path.read_text()
        without = yaml.safe_load(changed)
        del without["probes"]["containers"]
        for text in (changed, yaml.safe_dump(without), before):
            put(path, text)
            reload(fake_host)
            fake_host.until_run(time.time(), dict.fromkeys(OTHERS, True))
        assert len(fake_host.box.runs("docker")) == runs
    fake_host.repair(healthy)


def reload(fake_host: Boxed) -> None:
    """Has the configuration read again."""
    done = "the configuration was read again"
    before = fake_host.exporter.log.read_text().count(done)
    fake_host.exporter.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + TIMEOUT
    while fake_host.exporter.log.read_text().count(done) == before:
        assert time.monotonic() < end, fake_host.exporter.log.read_text()
        time.sleep(0.02)


def test_a_file_system_that_does_not_answer(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """A directory of models on one costs its own probe alone; when it answers again its size is back."""
    models = fake_host.box.directory / "models"
    with unanswered(models):
        fake_host.until_run(time.time(), {f"disk:{models}": False, **dict.fromkeys(OTHERS, True)})
        assert f"disk:{models}: took longer than 5s" in fake_host.exporter.log.read_text()
    fake_host.repair(healthy)
    assert vitals(fake_host.exporter).threads < 12


def test_a_program_on_a_file_system_that_does_not_answer(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """A command that lies on one costs its own probe alone: the exporter itself doesn't look for it."""
    path, dead = fake_host.box.directory / "config.yml", fake_host.box.directory / "dead"
    before = path.read_text()
    with unanswered(dead):
        put(path, before.replace(f"{fake_host.box.directory}/bin/ups", f"{dead}/ups"))
        reload(fake_host)
        fake_host.until_run(time.time(), {"command:ups": False, **dict.fromkeys(OTHERS[:-1], True)})
    assert "command:ups: took longer than 5s" in fake_host.exporter.log.read_text()
    put(path, before)
    reload(fake_host)
    fake_host.repair(healthy)


def test_no_process_can_be_started(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """Where the machine allows no more, as with TasksMax, each probe reports it, and all recovers."""
    with group("pids") as path:
        enter(path, fake_host.exporter.process.pid)
        (path / "pids.max").write_text("1")
        series = fake_host.until_run(time.time(), dict.fromkeys((*fake_host.probes.values(), "host"), False))
        assert series["process_resident_memory_bytes"] > 0
        log = fake_host.exporter.log.read_text()
        assert "docker could not be started: Resource temporarily unavailable" in log
        assert "Traceback" not in log
    fake_host.repair(healthy)


def test_the_end_does_not_wait_for_it(fake_host: Boxed) -> None:
    """SIGTERM ends the exporter, with nothing amiss; what can't be killed is left to systemd."""
    with stuck(fake_host):
        assert fake_host.exporter.stop() == 0
        assert "Traceback" not in fake_host.exporter.log.read_text()
