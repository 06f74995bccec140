"""Memory goes back to the system once it is freed."""

from __future__ import annotations

import contextlib
import ctypes

M_MMAP_THRESHOLD = -3  # of <malloc.h>
LARGE = 128 * 1024  # bytes; glibc's own threshold at the start


def return_large_blocks() -> None:
    """Has glibc map each large block by itself, so that it is returned when it is freed.

    Else it takes blocks as large as one freed before from a heap, which each thread may have to itself.
    Small blocks in between then hold what is free: after a minute of large outputs three times what is used.
    """
    with contextlib.suppress(AttributeError):  # musl always does so
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
