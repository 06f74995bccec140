import json
import logging

import pytest

from exporter.system.logs import setup


@pytest.fixture(autouse=True)
def restored_logging() -> object:
    """Takes back what setup() changed for the whole process."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_line_is_logfmt(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, source and message, quoted where needed."""
    setup("info", "logfmt")
    logging.getLogger("exporter.engine.runner").warning("gpu: it is %s", "broken")
    line = capsys.readouterr().err
    assert line.endswith(' level=warn source=engine.runner msg="gpu: it is broken"\n')
    assert line.startswith("ts=")


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_hostile_name_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str], style: str) -> None:
    """A newline, a quote or a surrogate in a message stays inside its record."""
    setup("info", style)  # type: ignore[arg-type]
    logging.getLogger("exporter.x").info('a\nlevel=error msg="forged" \udcff \x1b[31m')
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert "\x1b" not in out
    if style == "json":
        assert json.loads(out)["level"] == "info"


def test_records_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """--log.level=error leaves warnings out."""
    setup("error", "logfmt")
    logging.getLogger("exporter.x").warning("not this")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_an_errors_trace_is_in_its_line(capsys: pytest.CaptureFixture[str], style: str) -> None:
    """Where it came from is what a bug's report needs; it is one record all the same."""
    setup("info", style)  # type: ignore[arg-type]
    logging.getLogger("exporter.x").warning("oh", exc_info=ZeroDivisionError("by nothing"))
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert "ZeroDivisionError: by nothing" in out
