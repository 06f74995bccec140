"""What the commands tell the person who runs them: one line, on standard error where it went wrong."""

from __future__ import annotations

import sys

from exporter.probe import ProbeError


def say(text: str) -> int:
    """Prints it; the exit status for success."""
    sys.stdout.write(f"{text}\n")
    return 0


def complain(what: str, error: ProbeError | OSError | ValueError) -> int:
    """Prints what went wrong, why, and what helps; the exit status for failure."""
    sys.stderr.write(f"{what}: {reason(error)}\n")
    if isinstance(error, ProbeError) and error.hint:
        sys.stderr.write(f"  what helps: {error.hint}\n")
    return 1


def reason(error: ProbeError | OSError | ValueError) -> str:
    """An error in a person's words: the file that it is about, and the system's own text."""
    if isinstance(error, ProbeError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
