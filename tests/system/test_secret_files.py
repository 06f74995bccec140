"""Tokens and keys in files: read anew, refused where others could read or guess them."""

import os
from pathlib import Path

import pytest

from exporter.probe import ProbeError
from exporter.system.secret_files import LEAST, MOST, read_secret, token_in

TOKEN = b"0123456789abcdef" * 2


@pytest.mark.parametrize("data", [TOKEN, TOKEN + b"\r\n", b" \t" + TOKEN + b"\n\n", b"~!" * 16, b"x" * MOST])
def test_a_file_with_one_long_word_holds_a_token(data: bytes) -> None:
    """Blanks around it don't count, and any printable character does."""
    assert token_in(data) == data.strip()


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"x" * (LEAST - 1), b" " * 40 + b"x", b"x" * (MOST + 1), TOKEN + b" " + TOKEN),
        *(TOKEN + b"\n" + TOKEN, TOKEN + b"\x7f", TOKEN + b"\0", TOKEN + b"\xff", "é".encode() * 32),
    ],
)
def test_anything_else_holds_none(data: bytes) -> None:
    """What is short can be guessed; what is not printable is no text that a header carries."""
    assert token_in(data) is None


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with a token, as it should be."""
    path = tmp_path / "secret"
    path.touch(mode=0o640)
    path.write_bytes(TOKEN + b"\n")
    return path


def read(path: Path) -> bytes:
    """Reads a token that a group may read."""
    return read_secret(path, 0o640, "root:grid-exporter")


def test_read(secret_file: Path) -> None:
    """The token is the file's one line, and a new one is read the next time."""
    assert read(secret_file) == TOKEN
    secret_file.write_text("n" * 32)
    assert read(secret_file) == b"n" * 32


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o641, 0o777])
def test_file_open_to_others_is_refused(secret_file: Path, mode: int) -> None:
    """A token that others can read, or the group can change, is refused with a hint."""
    secret_file.chmod(mode)
    with pytest.raises(ProbeError, match="open to others than root:grid-exporter") as caught:
        read(secret_file)
    assert caught.value.hint == f"sudo chmod 640 {secret_file}"


def test_key_for_root_alone(secret_file: Path) -> None:
    """A key that nobody but root may read is refused where a group can."""
    with pytest.raises(ProbeError, match="open to others than root:root"):
        read_secret(secret_file, 0o600, "root:root")
    secret_file.chmod(0o400)
    assert read_secret(secret_file, 0o600, "root:root") == TOKEN


def test_file_without_a_token_is_refused(secret_file: Path) -> None:
    """An empty, short or endless file holds no token."""
    for data in (b"", b"x" * 31, b"x" * 100_000, b"\xff" * 40):
        secret_file.write_bytes(data)
        with pytest.raises(ProbeError, match="has no token of at least 32 characters"):
            read(secret_file)


def test_what_is_no_file_is_refused(secret_file: Path, tmp_path: Path) -> None:
    """What is missing, a link or a FIFO is refused without waiting; the hint makes a new one."""
    (tmp_path / "link").symlink_to(secret_file)
    os.mkfifo(tmp_path / "fifo")
    for name in ("missing", "link", "fifo"):
        with pytest.raises(ProbeError, match="cannot be used") as caught:
            read(tmp_path / name)
        assert "openssl rand" in caught.value.hint
