"""The summary and the outcome: as written so read, and nothing half or hostile is believed."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aide.summary import Finding, Outcome, Summary, load_outcome, load_summary, save
from tests.aide.store import make, summary


def test_round_trip(tmp_path: Path) -> None:
    """Everything that a check writes comes back."""
    store = make(tmp_path)
    finding = Finding("changed", "/ü\\x1b", "f", {"size": ("1", None)})
    written = summary(store, findings=(finding,), warnings=("w",), accepted=5.0)
    save(store.paths.summary, written)
    assert load_summary(store.paths.summary) == written
    outcome = Outcome(success=False, timestamp=7.5, reason="r")
    save(store.paths.outcome, outcome)
    assert load_outcome(store.paths.outcome) == outcome


def test_none_yet(tmp_path: Path) -> None:
    """That there is none yet is no error."""
    assert load_summary(tmp_path / "summary.json") is None
    assert load_outcome(tmp_path / "outcome.json") is None


def test_clean() -> None:
    """Clean is a check that succeeded and found nothing; a failed one never is."""
    clean = Summary(success=True, started=1, ended=2)
    assert clean.clean
    assert not msgspec.structs.replace(clean, success=False).clean
    for change in ("added", "removed", "changed"):
        assert not msgspec.structs.replace(clean, **{change: 1}).clean


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"success": true, "started": 1}',
        b'{"success": "yes", "started": 1, "ended": 2}',
        b'{"success": true, "started": -1, "ended": 2}',
        b'{"success": true, "started": 1, "ended": 1e400}',
        b'{"success": true, "started": 1, "ended": 1e300}',
        b'{"success": true, "started": 1, "ended": NaN}',
        b'{"success": true, "started": 1, "ended": 2, "added": -1}',
        b'{"success": true, "started": 1, "ended": 2, "added": 1.5}',
        b'{"success": true, "started": 1, "ended": 2, "added": 99999999999999999999}',
        b'{"success": true, "started": 1, "ended": 2, "id": "../../etc/passwd"}',
        b'{"success": true, "started": 1, "ended": 2, "id": "' + b"A" * 64 + b'"}',
        b'{"success": true, "started": 1, "ended": 2, "findings": [{"change": "eaten", "path": "/"}]}',
        b'{"success": true, "started": 1, "ended": 2}x',
        b"[" * 100_000,
    ],
)
def test_damaged(tmp_path: Path, data: bytes) -> None:
    """A summary that is cut off, of another form or out of range is damaged; the message names it."""
    (tmp_path / "summary.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"summary\.json is damaged"):
        load_summary(tmp_path / "summary.json")


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the file holds, it is read or damaged."""
    path = tmp_path_factory.getbasetemp() / "summary.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        load_summary(path)
