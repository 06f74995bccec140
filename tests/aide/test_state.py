"""The state: the files that were written, and what is put in for a killed command."""

import time
from pathlib import Path

import pytest

from exporter.aide.lock import Command, exclusive
from exporter.aide.state import load_state
from exporter.aide.summary import Outcome, save
from tests.aide.store import Store, killed_in, make, summary


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def test_nothing(tmp_path: Path, store: Store) -> None:
    """Before the first check nothing is known, and that is no error."""
    store.paths.summary.unlink()
    now = load_state(store.paths)
    assert (now.summary, now.outcome, now.under_way) == (None, None, None)


def test_at_rest(store: Store) -> None:
    """Between the commands the last results stay."""
    save(store.paths.outcome, Outcome(success=True, timestamp=1))
    now = load_state(store.paths)
    assert (now.summary, now.outcome, now.under_way) == (
        summary(store),
        Outcome(success=True, timestamp=1),
        None,
    )


def test_under_way(store: Store) -> None:
    """While a check runs the last result stays, and the check is named."""
    with exclusive(store.paths, "check"):
        now = load_state(store.paths)
        assert (now.summary, now.under_way) == (summary(store), "check")


def test_killed_check_is_reported_as_failed(store: Store) -> None:
    """What a killed check found last is no longer reported."""
    killed_in("check", store.paths)
    now = load_state(store.paths)
    assert now.summary
    assert (now.summary.success, now.summary.id, now.under_way) == (False, "", None)


def test_killed_accept_is_reported_as_failed(store: Store) -> None:
    """A killed accept is a failed one, and the check's result stays."""
    killed_in("accept", store.paths)
    now = load_state(store.paths)
    assert now.summary == summary(store)
    assert now.outcome
    assert not now.outcome.success


@pytest.mark.parametrize("command", ["check", "accept"])
def test_mark_restored_by_a_power_cut_changes_nothing(store: Store, command: Command) -> None:
    """Where a power cut brings back the mark of a command that ended well, its result stays."""
    killed_in(command, store.paths)
    later = time.time() + 1
    written = summary(store, started=later, ended=later + 1)
    save(store.paths.summary, written)
    save(store.paths.outcome, Outcome(success=True, timestamp=later))
    now = load_state(store.paths)
    assert now.summary == written
    assert now.outcome == Outcome(success=True, timestamp=later)
    with exclusive(store.paths, "accept"):
        assert load_state(store.paths).summary == written
