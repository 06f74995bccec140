"""Files that are whole or not there, and reading that nothing planted can stop."""

import os
import stat
from pathlib import Path

import pytest

from exporter.aide import files
from exporter.aide.files import Paths


def test_written(tmp_path: Path) -> None:
    """A file is replaced, readable by the directory's group and nobody else."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(tmp_path, 0, 12345)
    files.write(path, b"new")
    found = path.stat()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_gid == tmp_path.stat().st_gid
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_private(tmp_path: Path) -> None:
    """What is private stays its writer's own."""
    files.write(tmp_path / "file", b"x", files.PRIVATE)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    """Where writing ends early, the old content stands."""
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


def test_a_link_is_replaced(tmp_path: Path) -> None:
    """A link in a file's place, or in that of what is written first, is not written through."""
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "file").symlink_to("target")
    (tmp_path / ".file.new").symlink_to("target")
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "target").read_bytes() == b"secret"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_read(tmp_path: Path) -> None:
    """A plain file is read; a link, a FIFO and a directory are not, and nothing hangs or leaks."""
    (tmp_path / "file").write_bytes(b"x")
    assert files.read(tmp_path / "file") == b"x"
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="symbolic links"):
        files.read(tmp_path / "link")
    with pytest.raises(ValueError, match="fifo is not a regular file"):
        files.read(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is not a regular file"):
        files.read(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_read_is_bounded(tmp_path: Path) -> None:
    """A file that is too large is refused."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(ValueError, match="larger than 32 MiB"):
        files.read(tmp_path / "file")


@pytest.mark.parametrize("name", ["relative", "/with space", "/line\n", "/", "", "/a//b", "/a@b", "/a/"])
def test_paths_that_aide_would_misread(name: str) -> None:
    """A directory that would need quoting in AIDE's configuration is refused; pathlib tidies slashes."""
    if str(Path(name)) in {"/a/b", "/a"}:
        assert Paths(Path(name)).state == Path(name)
        return
    with pytest.raises(ValueError, match="expected an absolute path of plain characters"):
        Paths(Path(name))


def test_paths() -> None:
    """The files lie where units and documentation say."""
    paths = Paths()
    assert str(paths.summary) == "/var/lib/grid-exporter-aide/summary.json"
    assert paths.candidate("1").parent == paths.report("1").parent == paths.private
