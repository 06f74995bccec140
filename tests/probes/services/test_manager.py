"""When systemd's own state is asked for: counted by a fake systemctl, which prints files beside it."""

import os
from pathlib import Path

import pytest

from exporter.probes.services.manager import OLDEST, Systemd

SYSTEMCTL = """#!/bin/sh
for last; do :; done
cd {directory}
[ "$last" = -- ] && what=manager || what=units
echo $what >>asked
cat $what
"""
RUNNING = "NFailedUnits=0\nSystemState=running\n"
ACTIVE = "Id=a.service\nActiveState=active\n"


class FakeSystemd:
    """Its two outputs, the folder of the units that are up, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now = directory, 1000.0
        tool = directory / "systemctl"
        tool.write_text(SYSTEMCTL.format(directory=directory))
        tool.chmod(0o755)
        self.links = directory / "run/systemd/units"
        self.links.mkdir(parents=True)
        self.systemd = Systemd(directory, lambda: self.now)
        self.print(manager=RUNNING, units=ACTIVE)

    def print(self, **outputs: str) -> None:
        """Has it print these from now on."""
        for name, text in outputs.items():
            (self.directory / name).write_text(text)

    async def asked(self) -> list[str]:
        """What a run asks; it gives what is printed now."""
        log = self.directory / "asked"
        log.unlink(missing_ok=True)
        shown = await self.systemd.show(("Id", "ActiveState"), ("a.service",))
        assert shown == ((self.directory / "manager").read_text(), (self.directory / "units").read_text())
        return sorted(log.read_text().split())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    """A fake systemctl, first on PATH, of a systemd that runs and was asked once."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return FakeSystemd(tmp_path)


BOTH, UNITS = ["manager", "units"], ["units"]


async def test_systemd_itself_is_asked_again_after_a_minute(fake: FakeSystemd) -> None:
    """Units alone in between, while nothing changes."""
    assert await fake.asked() == BOTH
    assert await fake.asked() == UNITS
    fake.now += OLDEST - 1
    assert await fake.asked() == UNITS
    fake.now += 1
    assert await fake.asked() == BOTH
    assert await fake.asked() == UNITS


async def test_systemd_itself_is_asked_when_a_unit_came_or_went(fake: FakeSystemd) -> None:
    """One that isn't shown may have failed: systemd's folder of links tells that something did."""
    assert await fake.asked() == BOTH
    link = fake.links / "invocation:b.service"
    link.symlink_to("0")
    os.utime(fake.links, (1, 1))
    fake.print(manager="NFailedUnits=1\nSystemState=degraded\n")
    assert await fake.asked() == BOTH
    assert await fake.asked() == UNITS


async def test_systemd_itself_is_asked_when_a_shown_unit_changed(fake: FakeSystemd) -> None:
    """In the same run, also where that folder can't be seen."""
    fake.links.rmdir()
    assert await fake.asked() == BOTH
    assert await fake.asked() == UNITS
    fake.print(units="Id=a.service\nActiveState=failed\n", manager="NFailedUnits=1\nSystemState=degraded\n")
    assert await fake.asked() == BOTH
    assert await fake.asked() == UNITS


@pytest.mark.parametrize("state", ["starting", "maintenance", "stopping"])
async def test_systemd_is_asked_each_time_in_a_passing_state(fake: FakeSystemd, state: str) -> None:
    """Its end may change no unit."""
    fake.print(manager=f"NFailedUnits=0\nSystemState={state}\n")
    assert await fake.asked() == BOTH
    assert await fake.asked() == BOTH
