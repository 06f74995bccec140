"""The token of the AIDE action, read anew for each request: a new one works without a restart."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

from exporter.system.secret_files import read_secret


def read_token(path: Path) -> str:
    """The token: the file's one line. Raises as `read_secret`."""
    return read_secret(path, 0o640, "root:grid-exporter").decode("ascii")


def bearer(header: str) -> str | None:
    """The token of an Authorization header; None where it is missing, or of another scheme."""
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def same(given: str, wanted: str) -> bool:
    """Whether the two are the same token, in a time that depends neither on content nor length."""
    digests = (sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
