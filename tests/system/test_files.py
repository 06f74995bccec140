"""Files that are whole or not there, and reading that nothing planted can stop."""

import os
import stat
from pathlib import Path

import pytest

from exporter.system import files


def test_written(tmp_path: Path) -> None:
    """A file is replaced, readable by the directory's group and nobody else."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(tmp_path, 0, 12345)
    files.write(path, b"new")
    status = path.stat()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_gid == tmp_path.stat().st_gid
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_private(tmp_path: Path) -> None:
    """A private file can be read by its owner alone."""
    files.write(tmp_path / "file", b"x", files.PRIVATE)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_failed_write_changes_nothing(tmp_path: Path) -> None:
    """Where writing ends early the old content stays, and the next write succeeds."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail() -> None:
        with files.replacing(path, files.PRIVATE) as file:
            file.write(b"half")
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        fail()
    assert path.read_bytes() == b"old"
    files.write(path, b"new")
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A link in the place of a file, or of the temporary one, is not written through."""
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "file").symlink_to("target")
    (tmp_path / ".file.new").symlink_to("target")
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "target").read_bytes() == b"secret"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_read(tmp_path: Path) -> None:
    """A regular file is read; a FIFO and a directory are refused without waiting or leaking."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert files.read(tmp_path / "file") == files.read(tmp_path / "link") == b"x"
    with pytest.raises(OSError, match="symbolic links"):
        files.read(tmp_path / "link", follow_links=False)
    for name in ("fifo", ""):
        with pytest.raises(OSError, match="it is no regular file") as caught:
            files.read(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_read_is_bounded(tmp_path: Path) -> None:
    """A file up to the limit is read, a larger one refused."""
    (tmp_path / "file").write_bytes(bytes(4096))
    assert len(files.read(tmp_path / "file", 4096)) == 4096
    with pytest.raises(OSError, match="it is larger than 3 KiB"):
        files.read(tmp_path / "file", 4095)


def test_start_of_a_file(tmp_path: Path) -> None:
    """One read's worth; nothing where there is no file to read, and no wait for the writer of a pipe."""
    (tmp_path / "file").write_bytes(b"a\xffcde")
    os.mkfifo(tmp_path / "pipe")
    assert files.read_start(tmp_path / "file", 3) == "a\udcffc"
    assert files.read_start(str(tmp_path / "file"), 9, "replace") == "a\ufffdcde"
    for name in ("missing", "pipe", ".", "with\0nul"):
        assert files.read_start(tmp_path / name, 9) == ""
