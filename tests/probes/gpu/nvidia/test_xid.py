"""Xid errors in the kernel's log."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.gpu.nvidia.xid import KernelLog, parse

FALLEN = "NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', GPU has fallen off the bus."


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (f"3,812,4711,-;{FALLEN}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n", [((0, 1, 0), "79")]),
        ("4,1,2,c;NVRM: Xid (PCI:0001:ca:1f): 13, Graphics Exception", [((1, 0xCA, 0x1F), "13")]),
        ("6,1,2,-;NVRM: Xid (PCI:0000:41:00.0): 154, GPU recovery action changed", [((0, 0x41, 0), "154")]),
        (f"14,1,2,-;{FALLEN}", []),  # a user's message, not the kernel's
        (f"3,1,2,-;a user said: {FALLEN}", []),
        ("3,1,2,-;NVRM: GPU at PCI:0000:01:00: GPU-1", []),
        ("3,1,2,-;NVRM: Xid (PCI:0000:01): 79, x", []),
        (FALLEN, []),
        ("", []),
    ],
)
def test_record(record: str, found: list[tuple[tuple[int, int, int], str]]) -> None:
    """Only the driver's own lines count, by card and number."""
    assert parse(record) == found


@given(st.text(max_size=200))
def test_any_record(text: str) -> None:
    """Nothing makes it fail."""
    parse(f"3,1,2,-;NVRM: Xid (PCI:{text}): 79, x")
    parse(text)


def test_log_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run takes what is new; a record that was overwritten is skipped."""
    log = KernelLog(tmp_path / "kmsg")
    log.read()
    (tmp_path / "kmsg").write_text(f"3,1,2,-;{FALLEN}\n")
    log.read()
    log.read()
    assert dict(log.counts) == {((0, 1, 0), "79"): 1}
    reads: Iterator[bytes | OSError] = iter(
        [BrokenPipeError(), f"3,9,2,-;{FALLEN}\n".encode(), BlockingIOError()]
    )

    def read(fd: int, length: int) -> bytes:
        outcome = next(reads)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    monkeypatch.setattr(os, "read", read)
    log.read()
    assert dict(log.counts) == {((0, 1, 0), "79"): 2}
