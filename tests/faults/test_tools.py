"""Every tool of the box with every fault: scrapes stay whole, valid and true, and all recovers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.box.box import TOOLS
from tests.faults.boxed import FAULTS, TIMEOUT, TOOLLESS, Boxed, boxed
from tests.faults.vitals import vitals

MIB = 1024 * 1024

# Those that succeed all the same. What starts a scan becomes the scan, so that some faults never show in it;
# and who prints nothing where the containers' ids are expected has none.
UNHARMED = {
    **dict.fromkeys(("slow", "warn", "fork", "daemon"), TOOLS),
    **dict.fromkeys(("exit", "truncate", "missing", "denied"), ("ionice",)),
    "empty": ("docker",),
}
# What may lie where AIDE's checks leave their summary.
SUMMARIES: dict[str, Callable[[Path], object]] = {
    "nothing that ends": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "half a file": lambda path: path.write_bytes(path.with_suffix(".whole").read_bytes()[:100]),
    "garbage": lambda path: path.write_bytes(os.urandom(4096)),
    "a lie": lambda path: path.write_text('{"success": true, "started": 1e999, "ended": -1, "added": -5}'),
}


@pytest.fixture(scope="module")
def fake_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with boxed(tmp_path_factory.mktemp("tools")) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(fake_host: Boxed) -> dict[str, float]:
    """The values while nothing is wrong."""
    return fake_host.values()


@pytest.mark.parametrize("fault", FAULTS)
def test_all_tools_at_once(fake_host: Boxed, healthy: dict[str, float], fault: str) -> None:
    """Each failing probe reports it; no value is wrong; repaired, everything is as it was."""
    unharmed = UNHARMED.get(fault.partition(" ")[0], ())
    wanted = {probe: tool in unharmed for tool, probe in fake_host.probes.items()}
    fake_host.fault("nvidia-smi", fault)  # before docker's: the cards' processes have the names it gave last
    fake_host.until_run(time.time(), {"gpu": wanted["gpu"]})
    for tool in TOOLS:
        fake_host.fault(tool, fault)
    fake_host.until_run(time.time(), wanted)
    shown = fake_host.values()
    assert shown.items() <= healthy.items()
    assert shown.keys() >= {name for name in healthy if name.startswith(TOOLLESS)}
    if unharmed == TOOLS:
        assert shown == healthy
    fake_host.repair(healthy)


@pytest.mark.parametrize("instead", SUMMARIES)
def test_a_corrupt_aide_result(fake_host: Boxed, healthy: dict[str, float], instead: str) -> None:
    """Whatever lies in the summary's place, its probe reports it and the others go on."""
    path = fake_host.box.directory / "aide/summary.json"
    path.rename(path.with_suffix(".whole"))
    SUMMARIES[instead](path)
    try:
        fake_host.until_run(time.time(), {"aide": False, **dict.fromkeys(fake_host.probes.values(), True)})
        assert fake_host.values().items() <= healthy.items()
    finally:
        (Path.rmdir if path.is_dir() else Path.unlink)(path)
        path.with_suffix(".whole").rename(path)
    fake_host.until_run(time.time(), {"aide": True})
    fake_host.repair(healthy)


def test_one_tool_costs_the_others_nothing(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """While one hangs the others' values are renewed, and scrapes do not wait for it."""
    fake_host.box.fault("docker", "hang")
    fake_host.until_run(time.time(), {"containers": False})
    others = dict.fromkeys(fake_host.probes.values(), True)
    del others["containers"]
    for _ in range(2):
        fake_host.until_run(time.time(), others)
    started = time.monotonic()
    for _ in range(100):  # if each waited for a second, as it would for a quick probe, that would be too long
        fake_host.scrape()
    assert time.monotonic() - started < 60
    fake_host.repair(healthy)


def test_a_failing_tools_values_vanish_in_the_end(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """For 3 x ttl + timeout the last good values are served; then none."""
    fake_host.box.fault("ups", "error 1 out of order")
    series = fake_host.until_run(time.time(), {"command:ups": False})
    assert 'ups_load_watts{command="ups"}' in series
    series = fake_host.until(lambda series: 'ups_load_watts{command="ups"}' not in series)
    failed_for = time.time() - series['grid_probe_last_success_timestamp_seconds{probe="command:ups"}']
    assert failed_for > 7.5
    fake_host.repair(healthy)


def test_flapping_tools_are_logged_when_they_change(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """Not at every run: of each, two bad ones and two good ones, twice over, are four lines."""
    log = fake_host.exporter.log.read_text()
    for fault in ("error 1 out of order", "") * 2:
        for _ in range(2):
            for tool in TOOLS:
                fake_host.box.fault(tool, fault) if fault else fake_host.box.repair(tool)
            fake_host.until_run(time.time(), dict.fromkeys(fake_host.probes.values(), not fault))
    lines = fake_host.exporter.log.read_text().removeprefix(log).splitlines()
    for probe in fake_host.probes.values():
        logged = [line for line in lines if f'msg="{probe}: ' in line]
        assert ["works again" in line for line in logged] == [False, True] * 2
    fake_host.repair(healthy)


def test_nothing_is_left_of_all_that(fake_host: Boxed) -> None:
    """No process, no descriptor, no memory, and no trace of a bug in the log."""
    end = time.monotonic() + TIMEOUT
    while (now := vitals(fake_host.exporter)).children or now.descriptors > 12:
        assert time.monotonic() < end, now
        time.sleep(0.02)
    assert now.threads < 12
    assert now.memory < 120 * MIB
    assert "Traceback" not in fake_host.exporter.log.read_text()
    assert "bug" not in fake_host.exporter.log.read_text()
