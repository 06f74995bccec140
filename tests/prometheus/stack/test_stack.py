"""The stack as a whole; tests/real/test_stack.py runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prometheus.stack.__main__ import greeting
from prometheus.stack.program import Program, StackError
from prometheus.stack.stack import Stack


@pytest.fixture
def ended(tmp_path: Path) -> Program:
    """A program that has come to its end, with output."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", "print('disk full')"], stdout=output)
    process.wait()
    return Program("Prometheus", process, "127.0.0.1:9090", log)


def test_a_program_that_ends_by_itself_is_noticed(ended: Program) -> None:
    """Nobody looks at a stack of which a part has died."""
    with pytest.raises(StackError, match=r"Prometheus has ended:\n +disk full"):
        Stack({"Prometheus": ended}).watch()


def test_greeting_has_every_address(ended: Program) -> None:
    """Each program's address, or what helps where it is missing."""
    assert (
        greeting(Stack({"Prometheus": ended}, {"Grafana": "install it"})).splitlines()
        == [
            "",
            "  Prometheus    http://127.0.0.1:9090",
            "  Grafana       not installed here: install it",
            "",
            "Alerts are shown here and sent to nobody. Ctrl-C ends it all.",
            "",
        ][:-1]
    )
