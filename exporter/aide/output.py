"""What the commands print for the person who runs them; errors go to standard error."""

from __future__ import annotations

import sys

from exporter.probe import ProbeError


def print_line(text: str) -> int:
    """Prints it; returns the exit status of success."""
    sys.stdout.write(f"{text}\n")
    return 0


def print_error(what: str, error: ProbeError | OSError | ValueError) -> int:
    """Prints what failed, why, and how to fix it; returns the exit status of failure."""
    sys.stderr.write(f"{what}: {describe(error)}\n")
    if isinstance(error, ProbeError) and error.hint:
        sys.stderr.write(f"  to fix it: {error.hint}\n")
    return 1


def describe(error: ProbeError | OSError | ValueError) -> str:
    """An error as a person reads it: the file that it is about, and the system's own message."""
    if isinstance(error, ProbeError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
