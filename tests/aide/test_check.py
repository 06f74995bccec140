"""What makes a check fail, beyond what a real AIDE can be brought to (see tests/real/test_aide.py)."""

import os
from pathlib import Path

import pytest

from exporter.aide import check as module
from exporter.aide.aide_report import Report
from exporter.aide.check import LISTED, check
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.summary import Finding, load_summary
from exporter.probe import ProbeError
from exporter.system.subprocesses import Output
from tests.aide.store import CAPTURES, database


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A check's directories, as it finds them."""
    paths = Paths(tmp_path / "state")
    paths.work.mkdir(parents=True)
    paths.state.chmod(0o750)
    paths.private.chmod(0o700)
    return paths


def left(paths: Paths, report: str, candidate: bytes) -> None:
    """What AIDE left."""
    (paths.work / "report.json").write_bytes((CAPTURES / f"{report}.json").read_bytes())
    (paths.work / "aide.db").write_bytes(candidate)


def test_report_and_candidate_agree(paths: Paths) -> None:
    """A report and the database that was written with it are taken together."""
    left(paths, "clean", (CAPTURES / "aide.db").read_bytes())
    found, id_ = module._read_results(paths, 0)
    assert (found.total, len(id_)) == (5, 64)


@pytest.mark.parametrize(
    ("report", "exit_code", "candidate", "reason"),
    [
        ("clean", 0, database("a"), "reports 5 entries and wrote 1"),
        ("clean", 0, database(*"abcde")[:-5], "cut off"),
        ("clean", 0, b"", "does not begin as a database"),
        ("database-empty", 1, database(*"abcde"), "knows no file of its database"),
        ("database-cut-off", 1, database(*"abcde"), "knows no file of its database"),
        ("database-missing", 1, database("a"), "an empty report"),
        ("changed", 0, database(*"abcde"), "its exit status is 0"),
    ],
)
def test_what_does_not_agree(
    paths: Paths, report: str, exit_code: int, candidate: bytes, reason: str
) -> None:
    """A report that contradicts the database that was written, or the exit status, is refused."""
    left(paths, report, candidate)
    with pytest.raises(ValueError, match=reason):
        module._read_results(paths, exit_code)


def test_an_endless_report(paths: Paths) -> None:
    """A report beyond all measure is refused before it is read into memory."""
    left(paths, "clean", database("a"))
    os.truncate(paths.work / "report.json", (256 << 20) + 1)
    with pytest.raises(ValueError, match="more has changed than can be reported"):
        module._read_results(paths, 0)


@pytest.mark.parametrize("code", [8, 13, 14, 17, 18, 22, 25, 126, 127, -9, -11])
def test_exit_statuses_that_are_errors(code: int) -> None:
    """Whatever exit status is no sum of findings is a failure, with AIDE's own message."""
    output = Output(("aide",), code, b"", (CAPTURES / "bad-config.stderr").read_bytes(), 0.1)
    with pytest.raises(ProbeError, match=r"AIDE failed: .*unknown config option"):
        module._judge(output, Path("/etc/aide/aide.conf"))


async def test_warnings_without_end(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More warnings than can be judged are a failure: the bad one could be the last."""
    aide = tmp_path / "aide"
    aide.write_text("#!/bin/sh\nhead -c 20000000 /dev/zero >&2\n")
    aide.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ProbeError, match="warns without end"):
        await module._aide(paths, Path("/c"))


def test_all_kinds_are_listed() -> None:
    """A flood of one kind does not push the others out of the list, and all are counted."""
    flood = [Finding("added", f"/{number}") for number in range(LISTED + 5)]
    counted = module._counted(Report(9, [*flood, Finding("changed", "/etc/passwd")]))
    assert (counted["added"], counted["changed"], counted["unlisted"]) == (LISTED + 5, 1, 5)
    assert counted["findings"][-1].path == "/etc/passwd"


def test_without_aide(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where AIDE is not installed the check fails, and the summary has the reason."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check(paths, tmp_path / "aide.conf") == 1
    summary = load_summary(paths.summary)
    assert summary
    assert summary.reason == "aide is not installed"


@pytest.mark.parametrize(
    ("output", "refused"),
    [
        ("echo Aide 0.16.2 >&2", "0.16"),
        ("echo Aide 0.17.4", "0.17"),
        ("echo AIDE 0.18.3", ""),
        ("echo AIDE 1.0", ""),
        ("echo something else", ""),
    ],
)
async def test_too_old_an_aide_is_refused(
    output: str, refused: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AIDE before 0.18, which writes no JSON, is refused with its version and what to do."""
    (tmp_path / "aide").write_text(f"#!/bin/sh\n{output}\n")
    (tmp_path / "aide").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if not refused:
        await module._refuse_old_version()
        return
    with pytest.raises(ProbeError, match=f"AIDE {refused} is too old") as caught:
        await module._refuse_old_version()
    assert caught.value.hint == "install AIDE 0.18 or newer"


def test_configured_database() -> None:
    """The database is taken from AIDE's notice, whatever its name; without the notice there is none."""
    notice = "NOTICE: a:1: 'database_in' option already set to '{}' (ignore new value 'file:/x') (line: 'y')"
    for name in ("file:/a", "file:/a' (ignore new value 'b", "stdin"):
        assert module._configured_database(f" NOTICE: other\n{notice.format(name)}\n") == name
    assert module._configured_database("NOTICE: 'database_out' option already set to 'a'\n") is None


def test_where_the_configuration_lies(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first place that has one is taken; where none has, the check fails and names the package."""
    monkeypatch.setattr(module, "CONFIGS", (tmp_path / "a", tmp_path / "b"))
    (tmp_path / "b").touch()
    assert module._config() == tmp_path / "b"
    (tmp_path / "b").unlink()
    assert check(paths) == 1
    summary = load_summary(paths.summary)
    assert summary
    assert "aide-common" in summary.hint


def test_one_at_a_time(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that finds another at work leaves its summary alone."""
    with exclusive(paths, "check"):
        assert check(paths) == 1
    assert "under way" in capsys.readouterr().err
    assert load_summary(paths.summary) is None


def test_a_disk_that_takes_nothing(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where not even the summary can be left, the exit status and the mark of the running check say so."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "summary.json")

    monkeypatch.setattr(module, "save", full)
    assert check(paths) == 1
    assert paths.running.exists()
