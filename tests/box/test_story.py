"""What happens on the demo's box."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.probe import ProbeError
from tests.box.box import FakeBox, make
from tests.box.look import Series, found
from tests.box.story import (
    CHECKED,
    FAULTS,
    LASTS,
    PAUSE,
    QUICK,
    SHORT,
    SLOWLY,
    Fault,
    begin,
    faults_at,
    running,
)

KINDS = ("gpu", "containers", "services", "tor", "host", "command")
FIVE_MINUTES = 300


async def all_found(box: FakeBox) -> list[Series | None]:
    """What the probes find; None where one can't."""
    seen: list[Series | None] = []
    for kind in KINDS:
        try:
            seen.append(await found(box, kind))
        except ProbeError:
            seen.append(None)
    return seen


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.message)
async def test_every_fault_begins_and_ends(box: FakeBox, fault: Fault) -> None:
    """Each shows while it lasts, and after it all is as it was before."""
    box.freeze(1.8e9)
    box.memory(0.5)
    before = await all_found(box)
    fault.begin(box)
    if fault.message == "docker hangs":
        assert (box.directory / "faults/docker").read_text() == "hang"
    else:
        assert await all_found(box) != before
    fault.end(box)
    assert await all_found(box) == before


async def test_failed_container_from_the_start(box: FakeBox) -> None:
    """Before anything else happens, a container has failed."""
    begin(box)
    assert (await found(box, "containers"))['grid_container_exit_code{container="backup"}'] == 1


def test_each_part_has_a_fault_within_five_minutes() -> None:
    """The quick faults begin in time, each for long enough that Tor's probe, the slowest, runs meanwhile."""
    seconds = {fault: [second for second in range(SLOWLY) if fault in faults_at(second)] for fault in QUICK}
    assert all(times[0] < FIVE_MINUTES and len(times) == SHORT > 120 for times in seconds.values())
    assert CHECKED < FIVE_MINUTES


def test_later_faults_follow_each_other() -> None:
    """One at a time and each in its turn, with a pause between two."""
    for number, fault in enumerate([*FAULTS, *FAULTS]):
        start = SLOWLY + number * (LASTS + PAUSE)
        assert faults_at(start) == faults_at(start + LASTS - 1) == {fault}
        assert faults_at(start + LASTS) == faults_at(start - 1) == set()


async def test_models_fit_their_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's directories are a box's, and what lies in them takes its place on the disk."""
    box = make(tmp_path / "box")
    box.use_own_disks()
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    before = await found(box, "disk")
    box.model("new.gguf", 5e9)
    after = await found(box, "disk")
    available = 'grid_filesystem_avail_bytes{device="/dev/nvme1n1p1",fstype="ext4",mountpoint="/ai"}'
    assert before[available] - after[available] == 5e9
    assert after['grid_directory_entry_size_bytes{entry="new.gguf",path="/ai/models"}'] == 5e9
    sizes = [value for name, value in after.items() if name.startswith("grid_directory_size_bytes")]
    used = after[available.replace("avail", "size")] - after[available]
    assert (
        after['grid_directory_size_bytes{path="/ai/models"}']
        < used
        < 0.8 * after[available.replace("avail", "size")]
    )
    assert len(sizes) == 2
    assert not any(str(tmp_path) in name for name in after)


async def test_a_hot_card_is_held_back_by_heat(box: FakeBox) -> None:
    """What holds it back is heat, and not its power limit."""
    box.gpu(1, "hot")
    card = {name: value for name, value in (await found(box, "gpu")).items() if 'gpu="1"' in name}
    active = {name.split('"')[3] for name, value in card.items() if "throttle_active" in name and value}
    assert active == {"hw_slowdown", "hw_thermal_slowdown"}


def test_story_ends_when_asked(box: FakeBox) -> None:
    """The block's end ends it, wherever it was."""
    messages: list[str] = []
    with running(box, messages.append):
        pass
    assert messages == []
