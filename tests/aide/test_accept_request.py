"""The request that the web process leaves for root, and root's way of taking it."""

import os
import socket
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from exporter.aide.accept_request import (
    NAME,
    Request,
    accept_request,
    leave,
    runtime_directory,
    take,
    waiting,
)
from exporter.aide.lock import exclusive
from exporter.aide.proof import make_proof
from exporter.aide.summary import Outcome, load_outcome, save
from tests.aide.store import KEY, Store, make, summary

ID, PROOF = "0123456789abcdef" * 4, "fedcba9876543210" * 4
REQUEST = Request(ID, PROOF)
WRITTEN = f"{ID} {PROOF}".encode()


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
    leave(runtime, REQUEST)
    assert waiting(runtime)
    assert take(runtime) == REQUEST
    assert list(runtime.iterdir()) == []


def test_waiting_request_is_not_overwritten(runtime: Path) -> None:
    """A request that waits is not overwritten, and the second one leaves no trace."""
    leave(runtime, REQUEST)
    with pytest.raises(FileExistsError):
        leave(runtime, Request("f" * 64, PROOF))
    assert [path.name for path in runtime.iterdir()] == [NAME]
    assert take(runtime) == REQUEST


def test_no_runtime_directory(tmp_path: Path) -> None:
    """Without the directory no request can be left."""
    with pytest.raises(FileNotFoundError):
        leave(tmp_path / "run", REQUEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        ID.encode(),
        ID.encode() + b"\n",
        WRITTEN[:-1],
        WRITTEN + b"0",
        WRITTEN + b"\n\n",
        WRITTEN + b" \n",
        WRITTEN + b"\r\n",
        b"\n" + WRITTEN,
        WRITTEN.replace(b" ", b"  "),
        WRITTEN.replace(b" ", b"\n"),
        WRITTEN.upper(),
        WRITTEN[:-1] + b"g",
        WRITTEN[:-1] + b"\x00",
        "٣".encode() * 65,
        b"\xff" * 129,
        b"a" * 1_000_000,
        b"../" + WRITTEN[3:],
    ],
)
def test_malformed_request_is_removed(runtime: Path, data: bytes) -> None:
    """Anything but twice 64 hex digits is no request, and it is gone."""
    (runtime / NAME).write_bytes(data)
    with pytest.raises(ValueError, match="not an ID and a proof, of 64 hex digits each"):
        take(runtime)
    assert list(runtime.iterdir()) == []


def test_with_and_without_a_newline(runtime: Path) -> None:
    """A request by hand may end in a newline or not."""
    for end in (b"", b"\n"):
        (runtime / NAME).write_bytes(WRITTEN + end)
        assert take(runtime) == REQUEST


def _link(path: Path) -> None:
    (path.parent / "target").write_bytes(WRITTEN)
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
    leave(runtime, REQUEST)
    (tmp_path / "link").symlink_to(runtime)
    with pytest.raises(OSError, match="Not a directory"):
        take(tmp_path / "link")
    assert waiting(runtime)


def test_a_hard_link(runtime: Path, tmp_path: Path) -> None:
    """What a hard link names is read, refused, and only the name is removed."""
    (tmp_path / "shadow").write_text("root:x:0:0")
    (runtime / NAME).hardlink_to(tmp_path / "shadow")
    with pytest.raises(ValueError, match="64 hex digits each"):
        take(runtime)
    assert (tmp_path / "shadow").read_text() == "root:x:0:0"


def test_reviewed_check_is_accepted(store: Store, runtime: Path) -> None:
    """With a proof of the summary the candidate becomes the active database."""
    leave(runtime, store.request())
    assert accept_request(store.paths, runtime, store.key_file) == 0
    assert store.database.read_bytes() == store.new
    assert (outcome(store).success, outcome(store).id) == (True, store.id)


def refused(store: Store, runtime: Path, request: bytes, reason: str) -> None:
    """Sees that root refuses this request for this reason; its unit is not failed by that."""
    (runtime / NAME).write_bytes(request)
    assert accept_request(store.paths, runtime, store.key_file) == 0
    assert not outcome(store).success
    assert reason in outcome(store).reason
    assert not waiting(runtime)
    assert store.database.read_bytes() == store.old


def test_malformed_request_is_refused(store: Store, runtime: Path) -> None:
    """What is no request leaves an outcome without an ID."""
    refused(store, runtime, b"x", "not an ID and a proof")
    assert outcome(store).id == ""


def test_stale_request_is_refused(store: Store, runtime: Path) -> None:
    """The ID must be that of the last check."""
    refused(store, runtime, WRITTEN, "not the ID of the last check")
    store.paths.summary.unlink()
    refused(store, runtime, WRITTEN, "no check has run yet")


def test_exporter_cannot_accept_by_itself(store: Store, runtime: Path) -> None:
    """Whoever knows all that the exporter knows, the ID, the summary and the token, has no proof."""
    data = store.paths.summary.read_bytes()
    for key in (b"", store.id.encode(), b"0123456789abcdef" * 4):
        guess = make_proof(data, key)
        refused(store, runtime, f"{store.id} {guess}".encode(), "the proof is wrong")
    refused(store, runtime, f"{store.id} {sha256(data).hexdigest()}".encode(), "the proof is wrong")


def test_proof_of_another_summary_is_refused(store: Store, runtime: Path) -> None:
    """A proof is worth nothing for another check, nor where the person was shown another summary."""
    data = store.paths.summary.read_bytes()
    for other in (data.replace(b"/c", b"/x"), data.replace(b"1003.5", b"1004.5"), data[:-1], b""):
        proof = make_proof(other, KEY.encode())
        refused(store, runtime, f"{store.id} {proof}".encode(), "the proof is wrong")


def test_proof_cannot_be_used_again(store: Store, runtime: Path) -> None:
    """Where a later check finds the same files again, the old proof does not accept them."""
    request = store.request()
    leave(runtime, request)
    accept_request(store.paths, runtime, store.key_file)
    store.database.write_bytes(store.old)
    save(store.paths.summary, summary(store, started=2000.0, ended=2003.5))
    refused(store, runtime, f"{request.id} {request.proof}".encode(), "the proof is wrong")


def test_without_a_key_nothing_is_accepted(store: Store, runtime: Path) -> None:
    """Where root has no key, or one that others can read, no proof is valid."""
    request = store.request()
    written = f"{request.id} {request.proof}".encode()
    store.key_file.chmod(0o640)
    refused(store, runtime, written, "key is open to others than root:root")
    store.key_file.write_bytes(b"short")
    store.key_file.chmod(0o600)
    refused(store, runtime, written, "has no token of at least 32 characters")
    store.key_file.unlink()
    refused(store, runtime, written, "key cannot be used: No such file")


def test_findings_that_are_not_listed_are_not_accepted(store: Store, runtime: Path) -> None:
    """A summary that lists but some findings cannot be reviewed, so it is not accepted over HTTP."""
    save(store.paths.summary, summary(store, added=5, unlisted=4))
    request = store.request()
    refused(store, runtime, f"{request.id} {request.proof}".encode(), "4 findings are not in the summary")


def test_no_request(store: Store, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Started without a request, the service fails and changes nothing."""
    assert accept_request(store.paths, runtime, store.key_file) == 1
    assert "No such file" in capsys.readouterr().err
    assert load_outcome(store.paths.outcome) is None


def test_a_check_is_waited_for(store: Store, runtime: Path) -> None:
    """A request that comes while a check runs is taken at once and answered when the check has ended."""
    leave(runtime, store.request())
    service = threading.Thread(target=accept_request, args=(store.paths, runtime, store.key_file))
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
