"""Tokens and keys in files: what is long enough to be one, and who else may have access to the file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from exporter.probe import ProbeError
from exporter.system import files

LEAST = 32  # characters: guesses at a scrape's token are not limited
MOST = 4096
WANTED = f"a word of at least {LEAST} printable ASCII characters, as from: openssl rand -hex 32"


def token_in(data: bytes) -> bytes | None:
    """The token in a file's content, without the blanks around it; None where it is no token."""
    token = data.strip()
    is_word = all(0x20 < byte < 0x7F for byte in token)  # noqa: PLR2004 - blank and delete
    return token if is_word and LEAST <= len(token) <= MOST else None


def read_secret(path: Path, mode: int, owner: str) -> bytes:
    """Reads a token or key: the file's one line.

    Args:
        path: the file.
        mode: the permissions that it may have at most.
        owner: for whom it is, as chown writes it; used in the hint.

    Raises:
        ProbeError: it is missing, open to others, too short, or no text.
    """
    allow = f"sudo chown {owner} {path} && sudo chmod {mode:o} {path}"
    make = f"openssl rand -hex 32 | sudo tee {path} >/dev/null && {allow}"
    try:
        with files.open_regular(path) as file:
            status = os.fstat(file.fileno())
            token = token_in(file.read(2 * MOST))
    except OSError as error:
        raise ProbeError(f"{path} cannot be used: {error.strerror}", make) from error
    if stat.S_IMODE(status.st_mode) & ~mode:
        raise ProbeError(f"{path} is open to others than {owner}", f"sudo chmod {mode:o} {path}")
    if token is None:
        raise ProbeError(f"{path} cannot be used: it has no token of at least {LEAST} characters", make)
    return token
