"""One command at a time, and what is recorded of a killed one."""

import os
from pathlib import Path

import pytest

from exporter.aide.files import Paths
from exporter.aide.lock import Running, alive, exclusive, load_running
from exporter.aide.summary import load_outcome, load_summary
from exporter.probe import ProbeError
from tests.aide.store import killed_in


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A box on which nothing has run yet."""
    return Paths(tmp_path / "lib" / "state")


def test_held(paths: Paths) -> None:
    """While one command is at work no other begins, and everyone can see which one it is."""
    with exclusive(paths, "check"):
        running = load_running(paths)
        assert running
        assert (running.command, running.pid, alive(running)) == ("check", os.getpid(), True)
        with pytest.raises(ProbeError, match="under way"), exclusive(paths, "accept"):
            pytest.fail("two at a time")
    assert load_running(paths) is None
    with exclusive(paths, "accept"):
        pass


def test_private(paths: Paths) -> None:
    """The directories are made so that nobody else can write, and only root looks into the private one."""
    with exclusive(paths, "check"):
        assert paths.state.stat().st_mode & 0o777 == 0o750
        assert paths.private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("part", "mode"), [("state", 0o770), ("state", 0o757), ("private", 0o750)])
def test_open_directories_are_refused(paths: Paths, part: str, mode: int) -> None:
    """A directory that others could write to, or look into where they may not, is refused with a hint."""
    with exclusive(paths, "check"):
        pass
    getattr(paths, part).chmod(mode)
    with pytest.raises(ProbeError, match="open to someone else") as caught, exclusive(paths, "check"):
        pytest.fail("an open directory was used")
    assert "chmod" in caught.value.hint


def test_a_link_for_a_directory(paths: Paths, tmp_path: Path) -> None:
    """A link in the place of the directory is refused."""
    paths.state.parent.mkdir()
    (tmp_path / "other").mkdir(mode=0o750)
    paths.state.symlink_to(tmp_path / "other")
    with pytest.raises(ProbeError, match="open to someone else"), exclusive(paths, "check"):
        pytest.fail("a link was followed")


def test_no_right_to(paths: Paths) -> None:
    """Where the directory cannot be made, the reason and root are named."""
    paths.state.parent.write_bytes(b"a file")
    with pytest.raises(ProbeError, match="Not a directory") as caught, exclusive(paths, "check"):
        pytest.fail("there is no directory")
    assert caught.value.hint == "run it as root"


def test_a_killed_check(paths: Paths) -> None:
    """The next command first records of a killed check that it failed."""
    killed_in("check", paths)
    running = load_running(paths)
    assert running
    assert not alive(running)
    with exclusive(paths, "accept"):
        summary = load_summary(paths.summary)
        assert summary
        assert (summary.success, summary.reason) == (False, "the check was killed before it ended")
        assert summary.ended == running.since


def test_a_killed_accept(paths: Paths) -> None:
    """The next command first records of a killed accept that it failed."""
    killed_in("accept", paths)
    with exclusive(paths, "check"):
        outcome = load_outcome(paths.outcome)
        assert outcome
        assert not outcome.success


def test_a_mark_that_is_damaged_stops_nobody(paths: Paths) -> None:
    """Root's own damaged mark is an error to readers and no reason never to check again."""
    with exclusive(paths, "check"):
        pass
    paths.running.write_bytes(b"{")
    with pytest.raises(ValueError, match=r"running\.json is damaged"):
        load_running(paths)
    with exclusive(paths, "check"):
        pass


def test_what_ends_in_an_exception_leaves_its_mark(paths: Paths) -> None:
    """A command that could not say how it ended is, once its process is gone, taken for a killed one."""

    def fail() -> None:
        with exclusive(paths, "check"):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert load_running(paths)


def test_another_process_with_the_same_number(tmp_path: Path) -> None:
    """A process is known by its number and its start; a zombie and a missing one are dead."""
    process = tmp_path / "7"
    process.mkdir()
    running = Running("check", 0.0, 7, 500)
    line = "7 (a ) b) {} 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 {} 0 0 0"
    for state, ticks, lives in (("S", 500, True), ("D", 500, True), ("S", 501, False), ("Z", 500, False)):
        (process / "stat").write_text(line.format(state, ticks))
        assert alive(running, tmp_path) is lives
    (process / "stat").write_text("7 (x")
    assert not alive(running, tmp_path)
    assert not alive(Running("check", 0.0, 8, 500), tmp_path)
