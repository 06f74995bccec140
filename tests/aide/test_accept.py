"""Accepting: exactly what was reviewed, from the database that was checked, and whole at every moment."""

import os
import shutil
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exporter.aide.accept import accept
from exporter.aide.database import load_active
from exporter.aide.lock import exclusive
from exporter.aide.state import load_state
from exporter.aide.summary import Outcome, Summary, load_outcome, load_summary, save
from tests.aide.store import Store, database, killed_before, killed_in, make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def outcome(store: Store) -> Outcome:
    """The outcome that was left."""
    found = load_outcome(store.paths.outcome)
    assert found
    return found


def beside(store: Store) -> list[str]:
    """The files in the database's directory."""
    return [path.name for path in store.database.parent.iterdir()]


def refused(store: Store, id_: str, reason: str) -> None:
    """Sees that this ID is refused for this reason, and that the database is as it was."""
    before = store.database.read_bytes()
    assert accept(id_, store.paths) == 1
    assert not outcome(store).success
    assert reason in outcome(store).reason
    assert store.database.read_bytes() == before
    assert beside(store) == [store.database.name]


def test_accept(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The candidate becomes the database, with that one's owner and mode; the old one is kept."""
    os.utime(store.paths.candidate(store.id), (4000, 4000))
    if os.geteuid() == 0:
        os.chown(store.database, 12345, 54321)
    before = store.database.stat()
    assert accept(store.id, store.paths) == 0
    after = store.database.stat()
    assert store.database.read_bytes() == store.new
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert store.paths.previous.read_bytes() == store.old
    assert stat.S_IMODE(store.paths.previous.stat().st_mode) == 0o600
    assert (outcome(store).success, outcome(store).id) == (True, store.id)
    left = load_summary(store.paths.summary)
    assert left
    assert left.accepted == pytest.approx(outcome(store).timestamp, abs=5)
    assert left.database_timestamp == 4000
    assert load_active(store.paths, store.database).entries == 3
    assert beside(store) == [store.database.name]
    assert "accepted; the previous database is kept" in capsys.readouterr().out


def test_accept_is_idempotent(store: Store) -> None:
    """To accept what is active already changes nothing, and the kept one stays the one before."""
    assert accept(store.id, store.paths) == 0
    assert accept(store.id, store.paths) == 0
    assert store.database.read_bytes() == store.new
    assert store.paths.previous.read_bytes() == store.old


@pytest.mark.parametrize("id_", ["", "x", "0" * 63, "0" * 65, "A" * 64, "0" * 63 + "\n", "../" + "0" * 61])
def test_malformed_id_is_refused(store: Store, id_: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not 64 hex digits is refused at once."""
    assert accept(id_, store.paths) == 1
    assert "an ID has 64 hex digits" in capsys.readouterr().err
    assert load_outcome(store.paths.outcome) is None


def test_stale_id_is_refused(store: Store) -> None:
    """The ID of an earlier check is refused, though its candidate were still there."""
    stale = sha256(database("s")).hexdigest()
    store.paths.candidate(stale).write_bytes(database("s"))
    refused(store, stale, "not the ID of the last check")


def test_nothing_is_accepted_after_a_failed_check(store: Store) -> None:
    """A failed check takes back what the one before it offered."""
    save(store.paths.summary, Summary(success=False, started=1, ended=2, reason="no disk"))
    refused(store, store.id, "the last check failed: no disk")


def test_nothing_is_accepted_before_any_check(store: Store) -> None:
    """Without a check there is nothing to accept."""
    store.paths.summary.unlink()
    refused(store, store.id, "no check has run yet")


def test_nothing_is_accepted_after_a_killed_check(store: Store) -> None:
    """A check that was killed is a failed one, so what was offered before it is not accepted."""
    killed_in("check", store.paths)
    refused(store, store.id, "the check was killed before it ended")


def test_database_that_was_not_compared_is_kept(store: Store) -> None:
    """A database that is not the one that was compared is not replaced."""
    store.database.write_bytes(database("other"))
    refused(store, store.id, "is not the database that was checked")


def test_candidate_that_was_not_reviewed_is_refused(store: Store) -> None:
    """A candidate that is not what was reviewed is refused."""
    store.paths.candidate(store.id).write_bytes(database("a", "b", "c", "evil"))
    refused(store, store.id, "not the one that was reviewed")


def test_missing_candidate_is_refused(store: Store) -> None:
    """A missing candidate is refused with its name."""
    store.paths.candidate(store.id).unlink()
    refused(store, store.id, f"{store.id}.db: No such file")


def test_link_to_a_candidate_is_refused(store: Store, tmp_path: Path) -> None:
    """No link is followed to a candidate, though it had the right content."""
    store.paths.candidate(store.id).rename(tmp_path / "elsewhere")
    store.paths.candidate(store.id).symlink_to(tmp_path / "elsewhere")
    refused(store, store.id, "Too many levels of symbolic links")


def test_link_to_the_database_is_refused(store: Store, tmp_path: Path) -> None:
    """A link in the database's place is neither followed nor replaced."""
    store.database.rename(tmp_path / "elsewhere")
    store.database.symlink_to(tmp_path / "elsewhere")
    assert accept(store.id, store.paths) == 1
    assert "symbolic links" in outcome(store).reason
    assert (tmp_path / "elsewhere").read_bytes() == store.old


def test_planted_link_is_not_written_through(store: Store, tmp_path: Path) -> None:
    """A link under the name of the file that is written is removed, not written through."""
    (tmp_path / "shadow").write_bytes(b"secret")
    (store.database.parent / ".grid-exporter.new").symlink_to(tmp_path / "shadow")
    assert accept(store.id, store.paths) == 0
    assert (tmp_path / "shadow").read_bytes() == b"secret"
    assert store.database.read_bytes() == store.new


def test_database_replaced_during_an_accept_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that somebody puts there while the candidate is copied is not replaced."""
    copy = shutil.copyfileobj

    def slowly(*args: Any) -> None:
        copy(*args)
        store.database.unlink()
        store.database.write_bytes(database("made", "meanwhile"))

    monkeypatch.setattr("exporter.aide.accept.shutil.copyfileobj", slowly)
    assert accept(store.id, store.paths) == 1
    assert outcome(store).reason == "the database was replaced meanwhile"
    assert store.database.read_bytes() == database("made", "meanwhile")


def test_nothing_is_accepted_while_a_check_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is accepted while a check is under way."""
    with exclusive(store.paths, "check"):
        assert accept(store.id, store.paths) == 1
    assert "under way" in capsys.readouterr().err
    assert store.database.read_bytes() == store.old


def test_killed_at_any_step_a_whole_database_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever system call a kill comes before, a whole database is in place and an accept works again."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a kill loses nothing that was written; this is quick
    seen, step, killed = set(), 0, True
    while killed:
        step += 1
        store = make(tmp_path / str(step))
        killed = killed_before(step, lambda store=store: accept(store.id, store.paths))  # type: ignore[misc]
        active = store.database.read_bytes()
        assert active in {store.old, store.new}
        seen.add(active)
        load_active(store.paths, store.database)  # it is known, whichever it is
        now = load_state(store.paths)
        assert now.summary
        if now.outcome and now.outcome.success:
            assert active == store.new
        assert accept(store.id, store.paths) == 0
        assert store.database.read_bytes() == store.new
        assert store.paths.previous.read_bytes() == store.old
        assert stat.S_IMODE(store.database.stat().st_mode) == 0o604
        assert beside(store) == [store.database.name]
        assert not [path for path in store.paths.state.iterdir() if path.name.endswith(".new")]
        shutil.rmtree(tmp_path / str(step))
    assert step > 30
    assert len(seen) == 2


def test_killed_accept_is_a_failed_one(store: Store) -> None:
    """Until the next attempt the outcome of a killed one is a failure, whatever the one before it was."""
    save(store.paths.outcome, Outcome(success=True, timestamp=1))
    killed_in("accept", store.paths)
    now = load_state(store.paths)
    assert now.outcome
    assert now.outcome.reason == "it was killed before it ended"
