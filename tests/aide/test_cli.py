"""`grid-exporter aide …`: what each command does to the state it is pointed at."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.aide.cli import add_commands
from tests.aide.store import Store, make
from tests.daemon import run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def aide(state: Path, *arguments: str) -> int:
    """Runs a command on that state."""
    parser = argparse.ArgumentParser()
    add_commands(parser)
    options = parser.parse_args(["--state", str(state), *arguments])
    return int(options.run(options))


def test_show_then_accept(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown names the command that accepts, which then makes the candidate the database."""
    assert aide(store.paths.state, "show") == 1
    assert f"sudo grid-exporter aide accept {store.id}" in capsys.readouterr().out
    assert aide(store.paths.state, "accept", store.id) == 0
    assert store.database.read_bytes() == store.new


def test_accept_of_another_id(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """An ID that is not on offer is refused, and the exit status is 1."""
    assert aide(store.paths.state, "accept", "0" * 64) == 1
    assert "not accepted" in capsys.readouterr().err
    assert store.database.read_bytes() == store.old


def test_check_that_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AIDE's configuration the check fails, with exit status 1 and a summary with the reason."""
    monkeypatch.setattr("exporter.aide.check.CONFIGS", (Path("/nonexistent/aide.conf"),))
    assert aide(tmp_path / "state", "check") == 1
    assert "AIDE has no configuration" in (tmp_path / "state/summary.json").read_text()


@pytest.mark.parametrize("arguments", [["aide"], ["aide", "accept"], ["aide", "--state", "relative", "show"]])
def test_a_command_line_that_means_nothing(arguments: list[str]) -> None:
    """It is answered with what would mean something, and status 2."""
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "usage: grid-exporter aide" in ended.stderr


def test_who_serves_loads_none_of_it() -> None:
    """The exporter does not carry what only root's commands need."""
    code = "import sys, exporter.__main__; print([n for n in sys.modules if n.startswith('exporter.aide.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "exporter.aide.cli" in loaded
    assert not {"'exporter.aide.check'", "'exporter.aide.aide_report'", "'exporter.aide.show'"} & set(
        loaded.strip("[]\n").split(", ")
    )
