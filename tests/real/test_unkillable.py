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

from exporter.engine.runner import GRACE
from tests.box.files import put
from tests.faults.boxed import PATIENCE, Boxed, boxed, hurry
from tests.faults.vitals import vitals
from tests.real.cgroups import enter, frozen, group
from tests.real.test_disk import unanswered

pytestmark = pytest.mark.real("mount", "umount")

STUCK = 'grid_probe_stuck{{probe="{}"}}'
OTHERS = ("gpu", "services", "tor", "command:ups")


@contextlib.contextmanager
def stuck(there: Boxed) -> Iterator[None]:
    """Has docker hang where nothing can end it, and waits until that shows."""
    there.box.fault("docker", "hang")
    with frozen(_docker(there)):
        there.until(lambda series: series[STUCK.format("containers")] == 1)
        yield


def _docker(there: Boxed) -> int:
    """The process of docker that hangs, once a scrape has started it."""
    found: list[int] = []

    def is_there(_: dict[str, float]) -> bool:
        for pid in there.exporter.children():
            with contextlib.suppress(OSError):
                if b"\0docker\0ps\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return bool(found)

    there.until(is_there)
    return found[0]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with boxed(tmp_path_factory.mktemp("unkillable")) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(there: Boxed) -> dict[str, float]:
    """The values while nothing is wrong."""
    return there.values()


def test_a_process_that_cannot_be_killed(there: Boxed, healthy: dict[str, float]) -> None:
    """Its probe is stuck and starts no second one; the rest is served; freed, all is well."""
    with stuck(there):
        runs = len(there.box.runs("docker"))
        for _ in range(2):
            series = there.until_run(time.time(), dict.fromkeys(OTHERS, True))
            assert series[STUCK.format("containers")] == 1
            assert series['grid_probe_success{probe="containers"}'] == 0
        assert len(there.box.runs("docker")) == runs
        assert "can't be killed; no new run until it is gone" in there.exporter.log.read_text()
        assert "can't be killed" in html.unescape(there.exporter.get("/")[1])
    there.repair(healthy)
    assert there.scrape()[STUCK.format("containers")] == 0


def test_a_reload_starts_no_second_one_either(there: Boxed, healthy: dict[str, float]) -> None:
    """New settings, the probe taken out, and put back: as long as the old process is there, none starts."""
    path = there.box.directory / "config.yml"
    before = path.read_text()
    with stuck(there):
        runs = len(there.box.runs("docker"))
        hurry(there.box, "3s")
        changed = path.read_text()
        without = yaml.safe_load(changed)
        del without["probes"]["containers"]
        for text in (changed, yaml.safe_dump(without), before):
            put(path, text)
            reload(there)
            there.until_run(time.time(), dict.fromkeys(OTHERS, True))
        assert len(there.box.runs("docker")) == runs
    there.repair(healthy)


def reload(there: Boxed) -> None:
    """Has the configuration read again."""
    done = "the configuration was read again"
    before = there.exporter.log.read_text().count(done)
    there.exporter.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while there.exporter.log.read_text().count(done) == before:
        assert time.monotonic() < end, there.exporter.log.read_text()
        time.sleep(0.02)


def test_a_file_system_that_does_not_answer(there: Boxed, healthy: dict[str, float]) -> None:
    """A directory of models on one costs its own probe alone; when it answers again its size is back."""
    models = there.box.directory / "models"
    with unanswered(models):
        there.until_run(time.time(), {f"disk:{models}": False, **dict.fromkeys(OTHERS, True)})
        assert f"disk:{models}: took longer than 2s" in there.exporter.log.read_text()
    there.repair(healthy)
    assert vitals(there.exporter).threads < 12


def test_a_program_on_a_file_system_that_does_not_answer(there: Boxed, healthy: dict[str, float]) -> None:
    """A command that lies on one costs its own probe alone: the exporter itself doesn't look for it."""
    path, dead = there.box.directory / "config.yml", there.box.directory / "dead"
    before = path.read_text()
    with unanswered(dead):
        put(path, before.replace(f"{there.box.directory}/bin/ups", f"{dead}/ups"))
        reload(there)
        there.until_run(time.time(), {"command:ups": False, **dict.fromkeys(OTHERS[:-1], True)})
    assert "command:ups: took longer than 2s" in there.exporter.log.read_text()
    put(path, before)
    reload(there)
    there.repair(healthy)


def test_no_process_can_be_started(there: Boxed, healthy: dict[str, float]) -> None:
    """Where the machine allows no more, as with TasksMax, each probe reports it, and all recovers."""
    with group("pids") as path:
        enter(path, there.exporter.process.pid)
        (path / "pids.max").write_text("1")
        series = there.until_run(time.time(), dict.fromkeys((*there.probes.values(), "host"), False))
        assert series["process_resident_memory_bytes"] > 0
        log = there.exporter.log.read_text()
        assert "docker could not be started: Resource temporarily unavailable" in log
        assert "Traceback" not in log
    there.repair(healthy)


def test_the_end_does_not_wait_for_it(there: Boxed) -> None:
    """SIGTERM ends the exporter soon, with nothing amiss; what can't be killed is left to systemd."""
    with stuck(there):
        started = time.monotonic()
        assert there.exporter.stop() == 0
        assert time.monotonic() - started < 5 * GRACE
        assert "Traceback" not in there.exporter.log.read_text()
