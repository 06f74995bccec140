"""In an interpreter of its own: what malloc is told is for a whole process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import PROJECT, TIMEOUT

# Frees large blocks of which the last is kept: on a heap it holds all those before it.
SCRIPT = """
import resource
from pathlib import Path
from exporter.__main__ import main

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

if {prepared}:
    main(["check-config"])
before = resident()
largest = b"x" * (8 << 20)  # once it is freed, glibc takes for large only what is larger
del largest
blocks = [b"x" * (1 << 20) for _ in range(64)]
del blocks[:-1]
print(resident() - before)
"""


def grown(*, prepared: bool) -> float:
    """MiB that an interpreter keeps of 65, of which 1 is in use."""
    script = SCRIPT.format(prepared=prepared)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    return float(done.stdout.splitlines()[-1])


def test_freed_blocks_are_returned_to_the_system() -> None:
    """However the blocks lie between others that are in use."""
    assert grown(prepared=True) < 8


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="other C libraries return them anyway")
def test_glibc_would_keep_them() -> None:
    """Else what the exporter asks of it would be of no use."""
    assert grown(prepared=False) > 32
