"""What the bench runs on, and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe() -> dict[str, str]:
    """The machine and the versions of what is compared, each under its name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "prometheus-client": version("prometheus-client"),
        "node_exporter": _said(r"version (\S+)", "prometheus-node-exporter", "--version"),
        "wrk": _said(r"wrk (?:debian/)?(\S+)", "wrk", "--version"),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(pattern: str, *argv: str) -> str:
    """What a program says of its version."""
    output = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(pattern, output.stdout + output.stderr)
    return found[1] if found else "unknown"
