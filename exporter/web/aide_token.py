"""The token of the AIDE action, read anew for each request: a new one works without a restart."""

from __future__ import annotations

import hmac
import os
import stat
from hashlib import sha256
from pathlib import Path

from exporter.probe import ProbeError
from exporter.system import files
from exporter.web.bearer import LEAST, MOST, token_in

_FORBIDDEN = 0o027  # written by the group, or anything by everyone


def read_token(path: Path) -> str:
    """The token: the file's one line.

    Raises:
        ProbeError: it is missing, too open, too short, or no text.
    """
    new = f"openssl rand -hex 32 | sudo tee {path} >/dev/null && sudo chown root:grid-exporter {path} && "
    hint = f"{new}sudo chmod 640 {path}"
    try:
        with files.open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            token = token_in(file.read(2 * MOST))
    except OSError as error:
        raise ProbeError(f"the token file {path} cannot be used: {error.strerror}", hint) from error
    if stat.S_IMODE(mode) & _FORBIDDEN:
        raise ProbeError(f"the token file {path} is open to others than its group", f"sudo chmod 640 {path}")
    if token is None:
        raise ProbeError(
            f"the token file {path} cannot be used: it has no token of at least {LEAST} characters", hint
        )
    return token.decode("ascii")


def bearer(header: str) -> str | None:
    """The token of an Authorization header; None where it is missing, or of another scheme."""
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def same(given: str, wanted: str) -> bool:
    """Whether the two are the same token, in a time that depends neither on content nor length."""
    digests = (sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
