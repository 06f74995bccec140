"""What the commands tell the person who runs them."""

import pytest

from exporter.aide.output import complain, reason, say
from exporter.probe import ProbeError


def test_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Success goes to standard output; a failure, its reason and what helps to standard error."""
    assert say("done") == 0
    assert complain("not done", ProbeError("no", "do")) == 1
    assert complain("not done", ProbeError("no")) == 1
    said = capsys.readouterr()
    assert said.out == "done\n"
    assert said.err == "not done: no\n  what helps: do\nnot done: no\n"


def test_reasons() -> None:
    """A system's error names its file where it has one."""
    assert reason(FileNotFoundError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    assert reason(OSError(28, "No space left on device")) == "No space left on device"
    assert reason(OSError("odd")) == "odd"
    assert reason(ValueError("odd")) == "odd"
