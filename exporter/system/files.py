"""Reading a web-config and what it names: certificates, keys, tokens."""

from __future__ import annotations

import errno
from pathlib import Path

from exporter.aide.files import plain

LIMIT = 1024 * 1024  # bytes of any of them


def read(path: Path) -> bytes:
    """The content of a regular file, or of one that a link leads to; no FIFO's writer is waited for.

    Raises:
        OSError: it can't be read, is no regular file, or is absurdly large.
    """
    try:
        with plain(path, links=True) as file:
            data = file.read(LIMIT + 1)
    except ValueError as error:
        raise OSError(errno.EINVAL, "it is no regular file") from error
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {LIMIT // 1024} KiB")
    return data
