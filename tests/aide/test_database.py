"""Whether a database is whole, and whether it is the known one."""

import contextlib
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aide.database import count_entries, inspect, load_active, trust
from exporter.aide.files import Paths
from exporter.probe import ProbeError
from tests.aide.store import CAPTURES, Store, database, make

REAL = (CAPTURES / "aide.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def test_a_real_database(tmp_path: Path) -> None:
    """A database that AIDE 0.18 or 0.19 wrote is whole, plain or compressed, and its entries are counted."""
    for data in (REAL, gzip.compress(REAL, mtime=0), (CAPTURES / "aide-0.19.db").read_bytes()):
        (tmp_path / "db").write_bytes(data)
        os.utime(tmp_path / "db", (5, 5))
        found = inspect(tmp_path / "db")
        assert (found.entries, found.modified) == (5, 5.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin"),
        (b"\n", "does not begin"),
        (b"no database\n", "does not begin"),
        (b"@@begin_db\n", "header is damaged"),
        (b"@@begin_db\n# comment\n", "header is damaged"),
        (b"@@begin_db\n/a 1 2\n@@end_db\n", "header is damaged"),
        (b"@@begin_db\n@@db_spec name perm \n@@end_db\n", "no entry"),
        (REAL[: REAL.index(b"@@end_db")], "end is missing"),
        (REAL[:-1], "entry 6 is damaged or cut off"),
        (REAL[:-40], "entry 5 is damaged or cut off"),
        (REAL + b"x", "follows its end"),
        (REAL.replace(b" 0\n", b"\n", 1), "entry 1 is damaged"),
        (gzip.compress(REAL, mtime=0)[:-4], "compressed data"),
        (gzip.compress(REAL, mtime=0)[:100], "compressed data"),
        (b"\x1f\x8b" + os.urandom(100), "compressed data"),
    ],
)
def test_invalid_database(tmp_path: Path, data: bytes, reason: str) -> None:
    """A damaged, cut-off or empty database is refused with the reason."""
    (tmp_path / "db").write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        inspect(tmp_path / "db")


def test_compressed_data_that_rotted(tmp_path: Path) -> None:
    """Every flipped bit of the compressed part is noticed."""
    whole = bytearray(gzip.compress(REAL, mtime=0))
    for place in range(10, len(whole), 13):
        rotten = bytearray(whole)
        rotten[place] ^= 4
        (tmp_path / "db").write_bytes(rotten)
        with pytest.raises(ValueError, match=r"compressed|does not begin|damaged|follows|missing"):
            inspect(tmp_path / "db")


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=20).map(lambda line: line + b"\n"), max_size=8))
def test_any_lines(lines: list[bytes]) -> None:
    """Any lines after a good header are counted or refused."""
    with contextlib.suppress(ValueError):
        assert count_entries(iter([b"@@begin_db\n", b"@@db_spec name perm \n", *lines])) <= len(lines)


def test_the_known_database(store: Store) -> None:
    """The database that was checked last is active."""
    assert load_active(store.paths, store.database).entries == 2


def test_a_first_database(tmp_path: Path) -> None:
    """Where none is known yet, a whole one is taken."""
    (tmp_path / "db").write_bytes(database("a"))
    assert load_active(Paths(tmp_path / "state"), tmp_path / "db").entries == 1


def test_an_accept_that_was_killed(store: Store) -> None:
    """While an accept is under way the old and the new database are both known."""
    trust(store.paths, store.database, "0" * 64, inspect(store.database).sha256)
    assert load_active(store.paths, store.database).entries == 2


def test_another_whole_database(store: Store) -> None:
    """A database that is whole but not the known one is refused, with the way to make it known."""
    store.database.write_bytes(database("a", "x"))
    with pytest.raises(ProbeError, match="not the one that was last checked") as caught:
        load_active(store.paths, store.database)
    assert f"sudo rm {store.paths.trusted}" in caught.value.hint


def test_no_database(store: Store) -> None:
    """A missing database comes with the way to make one."""
    store.database.unlink()
    with pytest.raises(ProbeError, match="there is no database") as caught:
        load_active(store.paths, store.database)
    assert "init" in caught.value.hint


def test_a_damaged_one_while_another_is_kept(store: Store) -> None:
    """Where the database before it is kept, the command that restores it is named."""
    store.database.write_bytes(b"")
    store.paths.previous.write_bytes(store.old)
    with pytest.raises(ProbeError, match="invalid") as caught:
        load_active(store.paths, store.database)
    assert f"sudo cp {store.paths.previous} {store.database}" in caught.value.hint


def test_a_directory_in_its_place(store: Store) -> None:
    """What is no file is no database."""
    store.database.unlink()
    store.database.mkdir()
    with pytest.raises(ProbeError, match="it is no regular file"):
        load_active(store.paths, store.database)


def test_a_damaged_note_of_what_is_known(store: Store) -> None:
    """A record that can't be read is an error with the way to start anew."""
    store.paths.trusted.write_bytes(b"{")
    with pytest.raises(ProbeError, match="is damaged"):
        load_active(store.paths, store.database)
