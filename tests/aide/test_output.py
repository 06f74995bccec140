"""What the commands tell the person who runs them."""

import pytest

from exporter.aide.output import describe, print_error, print_line
from exporter.probe import ProbeError


def test_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Success goes to standard output; a failure, its reason and what helps to standard error."""
    assert print_line("done") == 0
    assert print_error("not done", ProbeError("no", "do")) == 1
    assert print_error("not done", ProbeError("no")) == 1
    output = capsys.readouterr()
    assert output.out == "done\n"
    assert output.err == "not done: no\n  to fix it: do\nnot done: no\n"


def test_describe() -> None:
    """A system's error names its file where it has one."""
    assert (
        describe(FileNotFoundError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    )
    assert describe(OSError(28, "No space left on device")) == "No space left on device"
    assert describe(OSError("odd")) == "odd"
    assert describe(ValueError("odd")) == "odd"
