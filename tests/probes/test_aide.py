"""The aide probe: what the checks left, as families, notes and failures."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.summary import Outcome, Summary, save
from exporter.metrics.exposition import join, render
from exporter.probe import Duration, Host, Note, ProbeError, Result
from exporter.probes.aide import KIND, Settings, build, debian_runs_too, discover
from tests.aide.store import Store, killed_in, make, summary
from tests.unprivileged import unprivileged


@pytest.fixture
def box(tmp_path: Path) -> Host:
    """A box whose root is a directory."""
    return Host(root=tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """What a check left on it."""
    return make(tmp_path)


async def run(box: Host) -> Result:
    """One run of the probe; the checks' directory is the box's /state."""
    (probe,) = build(Settings(state="/state"), box)
    assert probe.name == "aide"
    assert [float(probe.schedule.ttl), float(probe.schedule.wait), float(probe.schedule.timeout)] == [
        60,
        1,
        5,
    ]
    return await probe.run()


def values(result: Result) -> dict[str, float]:
    """Every series with its value, without its prefix."""
    lines = join([render(result.families)]).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.removeprefix("grid_aide_"): float(value) for name, value in pairs}


async def test_findings(box: Host, store: Store) -> None:
    """A check with findings shows when it was, how long it took, and how many there are of each kind."""
    result = await run(box)
    assert values(result) == {
        "last_check_timestamp_seconds": 1003.5,
        "check_duration_seconds": 3.5,
        "check_success": 1,
        "clean": 0,
        'entries{change="added"}': 1,
        'entries{change="removed"}': 0,
        'entries{change="changed"}': 0,
        "database_timestamp_seconds": 900,
    }
    assert result.notes == (Note("AIDE found differences", "sudo grid-exporter aide show"),)


async def test_when_packages_changed(box: Host, store: Store) -> None:
    """The newest of the package managers' databases; nothing where there is none."""
    for path, changed in (("var/lib/dpkg/status", 700), ("var/lib/rpm/rpmdb.sqlite", 600)):
        database = box.root / path
        database.parent.mkdir(parents=True)
        database.touch()
        os.utime(database, (changed, changed))
    assert values(await run(box))["packages_timestamp_seconds"] == 700


async def test_clean(box: Host, store: Store) -> None:
    """A clean check is clean, and there is nothing to note."""
    save(store.paths.summary, summary(store, added=0, findings=()))
    result = await run(box)
    assert values(result)["clean"] == 1
    assert result.notes == ()


async def test_failed(box: Host, store: Store) -> None:
    """A failed check is neither clean nor has it entries; when and why it failed is shown."""
    failed = Summary(success=False, started=5, ended=7, reason="no database", hint="sudo aideinit")
    save(store.paths.summary, failed)
    result = await run(box)
    assert values(result) == {
        "last_check_timestamp_seconds": 7,
        "check_duration_seconds": 2,
        "check_success": 0,
    }
    assert result.notes == (Note("the last AIDE check failed: no database", "sudo aideinit"),)


async def test_killed(box: Host, store: Store) -> None:
    """A killed check is a failed one at once; how long it took is not known."""
    killed_in("check", store.paths)
    found = values(await run(box))
    assert found["check_success"] == 0
    assert not [name for name in found if name.startswith(("clean", "entries", "check_duration"))]
    assert found["last_check_timestamp_seconds"] > 1003.5


async def test_under_way(box: Host, store: Store) -> None:
    """While a check runs the last one's metrics stay."""
    with exclusive(store.paths, "check"):
        assert values(await run(box))["check_success"] == 1


async def test_a_clock_that_was_set_back(box: Host, store: Store) -> None:
    """A duration below zero is none."""
    save(store.paths.summary, summary(store, started=2000.0))
    assert "check_duration_seconds" not in values(await run(box))


async def test_accepted_findings_count_as_clean(box: Host, store: Store) -> None:
    """Whoever has reviewed and accepted what a check found gets no warning until the next check."""
    save(store.paths.summary, summary(store, accepted=8.0))
    result = await run(box)
    found = values(result)
    assert found["clean"] == 1
    assert [found[f'entries{{change="{change}"}}'] for change in ("added", "removed", "changed")] == [0, 0, 0]
    assert result.notes == ()


@pytest.mark.parametrize("success", [True, False])
async def test_accepting(box: Host, store: Store, *, success: bool) -> None:
    """The last attempt to accept shows how it ended and when."""
    save(store.paths.summary, summary(store, accepted=8.0, database_timestamp=1003.0))
    save(store.paths.outcome, Outcome(success=success, timestamp=8, reason="" if success else "stale"))
    result = await run(box)
    found = values(result)
    assert (found["accept_success"], found["accept_timestamp_seconds"]) == (success, 8)
    assert found["database_timestamp_seconds"] == 1003
    expected = [] if success else ["the last attempt to accept failed: stale"]
    assert [note.text for note in result.notes] == expected


async def test_no_check_yet(box: Host) -> None:
    """That no check has run yet is a note with the command that starts one; there are no metrics."""
    result = await run(box)
    assert values(result) == {}
    assert result.notes == (Note("no AIDE check has run yet", "sudo systemctl start grid-aide-check"),)


async def test_a_summary_that_may_not_be_read(box: Host, store: Store) -> None:
    """A summary of another group's is a failure that names the group to change."""
    store.paths.summary.chmod(0)
    store.paths.state.parent.chmod(0o755)
    with unprivileged(), pytest.raises(ProbeError, match="may not be read") as caught:
        await run(box)
    assert "chgrp" in caught.value.hint


@pytest.mark.parametrize("name", ["summary.json", "outcome.json", "running.json"])
@pytest.mark.parametrize("data", [b"", b"{", b'{"success": true', b"\x00" * 100, b"[" * 10_000])
async def test_damaged(box: Host, store: Store, name: str, data: bytes) -> None:
    """What is cut off or no JSON is a failure that names the file."""
    (store.paths.state / name).write_bytes(data)
    with pytest.raises(ProbeError, match=name):
        await run(box)


async def test_a_hostile_directory(box: Host, store: Store) -> None:
    """A FIFO, a link, a directory or an endless file in the summary's place is a failure and no wait."""
    path = store.paths.summary
    for plant in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir):
        path.unlink(missing_ok=True)
        plant(path)
        with pytest.raises(ProbeError, match=r"summary\.json"):
            await run(box)
    path.rmdir()
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(ProbeError, match="larger than"):
        await run(box)


@settings(max_examples=100)
@given(st.binary(max_size=200))
async def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the summary holds, it is shown or a failure."""
    root = tmp_path_factory.getbasetemp() / "any"
    (root / "state").mkdir(parents=True, exist_ok=True)
    (root / "state" / "summary.json").write_bytes(data)
    with pytest.raises(ProbeError):
        await run(Host(root=root))


def debian(root: Path, *, timer: bool = True, cron: bool = True, shipped: bool = True, off: str = "") -> None:
    """Debian's daily check, as aide-common installs it."""
    wants, units = root / "etc/systemd/system/timers.target.wants", root / "lib/systemd/system"
    for path in (wants, units, root / "etc/cron.daily", root / "etc/default"):
        path.mkdir(parents=True, exist_ok=True)
    if shipped:
        (units / "dailyaidecheck.timer").touch()
    if timer:
        (wants / "dailyaidecheck.timer").symlink_to("/lib/systemd/system/dailyaidecheck.timer")
    if cron:
        (root / "etc/cron.daily/aide").touch()
    (root / "etc/default/aide").write_text(off or "#CRON_DAILY_RUN=no\n")


def test_debians_enabled_timer_is_noted(tmp_path: Path) -> None:
    """Debian's own check is noted, with the command that switches it off."""
    debian(tmp_path)
    note = debian_runs_too(tmp_path)
    assert note
    assert note.hint == "sudo systemctl disable --now dailyaidecheck.timer"


def test_debians_cron_job_is_noted(tmp_path: Path) -> None:
    """Where no timer is shipped the cron job runs, and its own switch is named."""
    debian(tmp_path, timer=False, shipped=False)
    note = debian_runs_too(tmp_path)
    assert note
    assert "CRON_DAILY_RUN=no" in note.hint


def test_disabled_debian_check_is_not_noted(tmp_path: Path) -> None:
    """A timer that is disabled, or a switch that says no, is not noted; neither is no Debian."""
    assert debian_runs_too(tmp_path) is None
    debian(tmp_path, timer=False)
    assert debian_runs_too(tmp_path) is None
    for off in ("CRON_DAILY_RUN=no\n", '# x\n  CRON_DAILY_RUN="no"  # y\n', "CRON_DAILY_RUN='no'\r\n"):
        shutil.rmtree(tmp_path)
        debian(tmp_path, off=off)
        assert debian_runs_too(tmp_path) is None


def test_unreadable_cron_directory_is_no_error(tree: Path) -> None:
    """Benchmarks of hardening close /etc/cron.daily: what can't be seen is not noted."""
    debian(tree, timer=False, shipped=False)
    (tree / "etc/cron.daily").chmod(0o600)
    with unprivileged():
        assert debian_runs_too(tree) is None


def test_debians_settings_are_read_within_bounds(tmp_path: Path) -> None:
    """A megabyte of line feeds, an endless file and a FIFO are read quickly, and switch nothing off."""
    debian(tmp_path, off="\n" * (1 << 20))
    assert debian_runs_too(tmp_path)
    defaults = tmp_path / "etc/default/aide"
    for plant in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        defaults.unlink()
        plant(defaults)
        assert debian_runs_too(tmp_path)


async def test_note_of_debians_check_comes_with_the_metrics(box: Host, store: Store) -> None:
    """The note comes with the metrics."""
    debian(box.root)
    result = await run(box)
    assert result.notes[-1].text == "Debian's own daily AIDE check runs beside this one"


async def test_discover(box: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AIDE is watched from the moment its checks are set up and it is there, not from its first check."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "aide").touch(mode=0o755)
    assert await discover(box) == Note("AIDE's daily checks are not set up", "sudo make install")
    state = box.root / "var/lib/grid-exporter-aide"
    state.mkdir(parents=True)
    assert await discover(box) == Settings()
    (tmp_path / "aide").unlink()
    found = await discover(box)
    assert isinstance(found, Note)
    assert "install aide" in found.hint
    (state / "summary.json").touch()
    assert await discover(box) == Settings()
    assert KIND.name == "aide"


async def test_discover_without_permission(box: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not read the checks' results gets the user who may."""
    (box.root / "var/lib/grid-exporter-aide").mkdir(parents=True)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert await discover(box) == Note(
        f"this user may not read {box.root}/var/lib/grid-exporter-aide",
        "sudo -u grid-exporter grid-exporter doctor",
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"state": "relative"},
        {"state": "/with space"},
        {"state": ""},
        {"action_token_file": "relative"},
        {"ttl": Duration(0)},
    ],
)
def test_bad_settings(bad: dict[str, Any]) -> None:
    """A path that is not absolute, or that AIDE would misread, is refused."""
    with pytest.raises(ValueError, match=r"absolute path|ttl"):
        Settings(**bad)


def test_settings() -> None:
    """By default the checks' own directory is read, and the action is off."""
    assert Paths(Path(Settings().state)) == Paths()
    assert Settings().action_token_file is None
