"""The request that the web process leaves for root, and root's way of taking it."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.aide.accept_request import NAME, accept_request, leave, runtime_directory, take, waiting
from exporter.aide.lock import exclusive
from exporter.aide.summary import Outcome, load_outcome
from tests.aide.store import Store, make

ID = "0123456789abcdef" * 4


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """The exporter's runtime directory."""
    path = tmp_path / "run"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def outcome(store: Store) -> Outcome:
    """The outcome that was left."""
    found = load_outcome(store.paths.outcome)
    assert found
    return found


def test_request_is_left_and_taken(runtime: Path) -> None:
    """What the one leaves the other takes, and nothing stays behind."""
    assert not waiting(runtime)
    leave(runtime, ID)
    assert waiting(runtime)
    assert take(runtime) == ID
    assert list(runtime.iterdir()) == []


def test_waiting_request_is_not_overwritten(runtime: Path) -> None:
    """A request that waits is not overwritten, and the second one leaves no trace."""
    leave(runtime, ID)
    with pytest.raises(FileExistsError):
        leave(runtime, "f" * 64)
    assert [path.name for path in runtime.iterdir()] == [NAME]
    assert take(runtime) == ID


def test_no_runtime_directory(tmp_path: Path) -> None:
    """Without the directory nothing can be asked."""
    with pytest.raises(FileNotFoundError):
        leave(tmp_path / "run", ID)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        ID[:-1].encode(),
        ID.encode() + b"0",
        ID.encode() + b"\n\n",
        ID.encode() + b" \n",
        ID.encode() + b"\r\n",
        b"\n" + ID.encode(),
        ID.upper().encode(),
        ID.encode()[:-1] + b"g",
        ID.encode()[:-1] + b"\x00",
        "٣".encode() * 32,
        b"\xff" * 64,
        b"a" * 1_000_000,
        b"../" + ID.encode()[3:],
    ],
)
def test_malformed_request_is_removed(runtime: Path, data: bytes) -> None:
    """Anything but 64 hex digits is no request, and it is gone."""
    (runtime / NAME).write_bytes(data)
    with pytest.raises(ValueError, match="not an ID of 64 hex digits"):
        take(runtime)
    assert list(runtime.iterdir()) == []


def test_with_and_without_a_newline(runtime: Path) -> None:
    """A request by hand may end in a newline or not."""
    for end in ("", "\n"):
        (runtime / NAME).write_text(ID + end)
        assert take(runtime) == ID


def _link(path: Path) -> None:
    (path.parent / "target").write_text(ID)
    path.symlink_to(path.parent / "target")


def _dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


def _full_directory(path: Path) -> None:
    (path / "deep").mkdir(parents=True)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)
        made.bind(path.name)


@pytest.mark.parametrize("plant", [_link, _dangling, os.mkfifo, Path.mkdir, _full_directory, _socket])
def test_request_that_is_no_regular_file_is_removed(
    runtime: Path, plant: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link, FIFO, directory or socket is refused without waiting, and out of the way."""
    monkeypatch.chdir(runtime)
    plant(runtime / NAME)
    with pytest.raises(ValueError, match="cannot be read"):
        take(runtime)
    assert not waiting(runtime)


def test_a_device(runtime: Path) -> None:
    """A device, which only root could plant, is refused without a read."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.mknod(runtime / NAME, 0o020666, os.makedev(1, 5))
    with pytest.raises(ValueError, match="cannot be read"):
        take(runtime)
    assert not waiting(runtime)


def test_a_link_for_the_directory(runtime: Path, tmp_path: Path) -> None:
    """The runtime directory itself is not followed where it is a link."""
    leave(runtime, ID)
    (tmp_path / "link").symlink_to(runtime)
    with pytest.raises(OSError, match="Not a directory"):
        take(tmp_path / "link")
    assert waiting(runtime)


def test_a_hard_link(runtime: Path, tmp_path: Path) -> None:
    """What a hard link names is read, refused, and only the name is removed."""
    (tmp_path / "shadow").write_text("root:x:0:0")
    (runtime / NAME).hardlink_to(tmp_path / "shadow")
    with pytest.raises(ValueError, match="64 hex digits"):
        take(runtime)
    assert (tmp_path / "shadow").read_text() == "root:x:0:0"


def test_accepted(store: Store, runtime: Path) -> None:
    """A request for the candidate's ID is answered by the candidate active."""
    leave(runtime, store.id)
    assert accept_request(store.paths, runtime) == 0
    assert store.database.read_bytes() == store.new
    assert outcome(store).success


def test_refused(store: Store, runtime: Path) -> None:
    """A stale ID and a hostile content leave an outcome, and the unit is not failed by them."""
    for content, reason in ((ID, "not the ID of the last check"), ("x", "not an ID of 64 hex digits")):
        (runtime / NAME).write_text(content)
        assert accept_request(store.paths, runtime) == 0
        assert not outcome(store).success
        assert reason in outcome(store).reason
        assert not waiting(runtime)
    assert store.database.read_bytes() == store.old
    assert outcome(store).id == ""


def test_no_request(store: Store, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Started without a request, the service says so and changes nothing."""
    assert accept_request(store.paths, runtime) == 1
    assert "No such file" in capsys.readouterr().err
    assert load_outcome(store.paths.outcome) is None


def test_a_check_is_waited_for(store: Store, runtime: Path) -> None:
    """A request that comes while a check runs is taken at once and answered when the check has ended."""
    leave(runtime, store.id)
    service = threading.Thread(target=accept_request, args=(store.paths, runtime))
    with exclusive(store.paths, "check"):
        service.start()
        while waiting(runtime):
            assert service.is_alive()
            service.join(0.01)
        assert store.database.read_bytes() == store.old
    service.join()
    assert store.database.read_bytes() == store.new


def test_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd's is taken, the first of several; without one the unit's own."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
    assert runtime_directory() == Path("/run/a")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert runtime_directory() == Path("/run/grid-exporter")
