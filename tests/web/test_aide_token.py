"""The token: read anew, refused where others could read or guess it, compared without a hint."""

import os
from pathlib import Path

import pytest

from exporter.probe import ProbeError
from exporter.web.aide_token import bearer, read_token, same

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A token file as it should be."""
    path = tmp_path / "token"
    path.touch(mode=0o640)
    path.write_text(f"{TOKEN}\n")
    return path


def test_read(token_file: Path) -> None:
    """The token is the file's one line, and a new one is read at the next try."""
    assert read_token(token_file) == TOKEN
    token_file.write_text("n" * 32)
    assert read_token(token_file) == "n" * 32


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o641, 0o777])
def test_too_open(token_file: Path, mode: int) -> None:
    """A token that others can read, or the group can change, is refused with the hint that fixes it."""
    token_file.chmod(mode)
    with pytest.raises(ProbeError, match="open to others") as caught:
        read_token(token_file)
    assert caught.value.hint == f"sudo chmod 640 {token_file}"


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"short", b"x" * 31, b"x" * 5000, b"two words" * 9, b"a\nb" * 20, b"\x00" * 40]
)
def test_no_token(token_file: Path, data: bytes) -> None:
    """An empty, short, endless or many-worded file holds no token."""
    token_file.write_bytes(data)
    with pytest.raises(ProbeError, match="has no token of at least 32 characters"):
        read_token(token_file)


def test_not_a_file(token_file: Path, tmp_path: Path) -> None:
    """What is missing, a link, a FIFO or no text is refused without waiting."""
    token_file.write_bytes(b"\xff" * 40)
    (tmp_path / "link").symlink_to(token_file)
    os.mkfifo(tmp_path / "fifo")
    for name in ("token", "missing", "link", "fifo"):
        with pytest.raises(ProbeError, match="cannot be used") as caught:
            read_token(tmp_path / name)
        assert "openssl rand" in caught.value.hint


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        ("Basic abc", None),
    ],
)
def test_bearer(header: str, token: str | None) -> None:
    """Only a Bearer header carries a token."""
    assert bearer(header) == token


def test_same() -> None:
    """Only the very token is the token, whatever characters are tried."""
    assert same(TOKEN, TOKEN)
    assert not same(TOKEN[:-1], TOKEN)
    assert not same("", TOKEN)
    assert not same("\udcff\u00fc", TOKEN)
