"""What a running exporter takes of the machine, and whether it serves scrapes that are whole and valid."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.daemon import TIMEOUT, Daemon
from tests.strict import parsed


@dataclass(frozen=True, slots=True)
class Vitals:
    """Counts of what is open, running and a child; resident memory in bytes."""

    descriptors: int
    threads: int
    children: int
    memory: int


def vitals(exporter: Daemon) -> Vitals:
    """How the exporter is now."""
    proc = Path(f"/proc/{exporter.process.pid}")
    status = (proc / "status").read_text()
    return Vitals(
        descriptors=sum(1 for _ in (proc / "fd").iterdir()),
        threads=_value(status, "Threads"),
        children=len(exporter.children()),
        memory=_value(status, "VmRSS") * 1024,
    )


def at_rest(exporter: Daemon) -> Vitals:
    """How it is once no tool runs: who isn't asked rests."""
    end = time.monotonic() + TIMEOUT
    while (now := vitals(exporter)).children:
        assert time.monotonic() < end, now
        time.sleep(0.02)
    return now


def _value(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


def scraped(exporter: Daemon, path: str = "/metrics") -> dict[str, float]:
    """The series of a scrape as Prometheus makes it with a short timeout: whole and valid."""
    status, text = exporter.get(path, {"X-Prometheus-Scrape-Timeout-Seconds": "5"})
    assert status == 200, text
    return parsed(text)
