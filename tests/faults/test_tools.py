"""Every tool of the box with every fault: scrapes stay whole, valid and true, and all recovers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.box.box import TOOLS
from tests.faults.boxed import PATIENCE, Boxed, boxed
from tests.faults.vitals import vitals

MIB = 1024 * 1024

# A tool that lies: something that its probe could take for an answer, and must not.
LIES = {
    "nvidia-smi": "say 0 index, uuid\n0\n1e999, GPU-1, 7",
    "docker": f"say 0 {'f' * 64}",
    "systemctl": "say 0 Id=a.service\nLoadState=loaded\nActiveState=active\nSystemState=",
    "curl": 'say 0 {"IsTor": "yes", "IP": "no"}\n200 1e999',
    "ionice": 'say 0 {"rooms":[{"mount":1,"size":-5,"free":"x","avail":1}],"size":1}',
    "ups": "say 0 # TYPE up gauge\nup 0\ngrid_memory_total_bytes 1",
}
# Those that succeed all the same. What starts a scan becomes the scan, so that some faults never show in it;
# and who prints nothing where the containers' ids are expected has none.
UNHARMED = {
    **dict.fromkeys(("slow", "warn", "fork"), TOOLS),
    **dict.fromkeys(("exit", "truncate", "missing", "denied"), ("ionice",)),
    "empty": ("docker",),
}
FAULTS = [
    *("hang", "deaf", "slow 0.3", "exit 3", "complain 1 out of order", "warn beware", "empty", "truncate"),
    *("garbage", "flood", "fork", "missing", "denied", "lie"),
]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with boxed(tmp_path_factory.mktemp("tools")) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(there: Boxed) -> dict[str, float]:
    """The figures while nothing is wrong."""
    return there.figures()


@pytest.mark.parametrize("fault", FAULTS)
def test_all_tools_at_once(there: Boxed, healthy: dict[str, float], fault: str) -> None:
    """Each probe that can't find out says so; no figure is wrong; mended, everything is as it was."""
    for tool in TOOLS:
        there.box.fault(tool, LIES[tool] if fault == "lie" else fault)
    unharmed = UNHARMED.get(fault.partition(" ")[0], ())
    wanted = {probe: tool in unharmed for tool, probe in there.probes.items()}
    there.until_run(time.time(), wanted)
    for name, value in there.figures().items():
        assert healthy[name] == value
    there.mend(healthy)


def test_one_tool_costs_the_others_nothing(there: Boxed, healthy: dict[str, float]) -> None:
    """While one hangs the others' figures are renewed, and the scrape waits for it once at most."""
    there.box.fault("docker", "hang")
    there.until_run(time.time(), {"containers": False})
    others = dict.fromkeys(there.probes.values(), True)
    del others["containers"]
    for _ in range(2):
        there.until_run(time.time(), others)
    started = time.monotonic()
    for _ in range(20):
        there.scrape()
    assert time.monotonic() - started < 10
    there.mend(healthy)


def test_a_failing_tools_figures_vanish_in_the_end(there: Boxed, healthy: dict[str, float]) -> None:
    """For 3 x ttl + timeout the last good figures stand in; then nothing is shown rather than what was."""
    there.box.fault("ups", "complain 1 out of order")
    series = there.until_run(time.time(), {"command:ups": False})
    assert 'ups_load_watts{command="ups"}' in series
    series = there.until(lambda series: 'ups_load_watts{command="ups"}' not in series)
    failed_for = time.time() - series['grid_probe_last_success_timestamp_seconds{probe="command:ups"}']
    assert failed_for > 4.5
    there.mend(healthy)


def test_a_flapping_tool_is_logged_when_it_changes(there: Boxed) -> None:
    """Not at every run: two bad ones and two good ones are two lines."""
    said = there.exporter.log.read_text()
    for fault in ("complain 1 out of order", ""):
        for _ in range(2):
            if fault:
                there.box.fault("ups", fault)
            else:
                there.box.mend("ups")
            there.until_run(time.time(), {"command:ups": not fault})
    lines = there.exporter.log.read_text().removeprefix(said).splitlines()
    assert [line.partition("msg=")[2] for line in lines] == [
        f'"command:ups: {there.box.directory}/bin/ups failed: exit status 1"',
        '"command:ups: works again"',
    ]


def test_nothing_is_left_of_all_that(there: Boxed) -> None:
    """No process, no descriptor, no memory, and no trace of a bug in the log."""
    end = time.monotonic() + PATIENCE
    while (now := vitals(there.exporter)).children or now.descriptors > 12:
        assert time.monotonic() < end, now
        time.sleep(0.02)
    assert now.threads < 12
    assert now.memory < 120 * MIB
    assert "Traceback" not in there.exporter.log.read_text()
    assert "bug" not in there.exporter.log.read_text()
