"""The health states: what a domain of a box can be, as one number and its word.

The worse the state, the higher its code, so that ``max()`` finds the worst.
"""

from __future__ import annotations

from typing import NamedTuple


class State(NamedTuple):
    """A health code and its word."""

    code: int
    text: str


ABSENT = State(-1, "Not here")  # the exporter looked, or was told, and there is no such thing to watch
WELL = State(0, "Well")

NOT_CHECKED = State(5, "No check yet")
STOPPED = State(6, "Stopped")
STUCK = State(7, "Stuck")
BAD_CONFIG = State(8, "Bad config")
PROBE_FAILING = State(9, "Probe failing")
OVERDUE = State(10, "Overdue")
THROTTLED = State(11, "Throttled")
MEMORY_FULL = State(12, "Memory full")
LOW = State(13, "Low")
STALLING = State(14, "Stalling")
FILLING = State(15, "Filling")
LOW_SPACE = State(16, "Low space")
SCAN_ERRORS = State(17, "Scan errors")
UNHEALTHY = State(18, "Unhealthy")
RESTARTS = State(19, "Restarts")

CANNOT_TELL = State(20, "Cannot tell")

HOT = State(21, "Hot")
ECC_ERRORS = State(22, "ECC errors")
NEARLY_OUT = State(23, "Nearly out")
FULL = State(24, "Full")
DOWN = State(25, "Down")
NOT_TOR = State(26, "Not Tor")
ENGINE_DOWN = State(27, "Engine down")
FAILED = State(28, "Failed")
FINDINGS = State(29, "Findings")
CHECK_FAILED = State(30, "Check failed")
GONE = State(31, "Card gone")
SILENT = State(50, "Silent")

STATES = tuple(sorted(state for state in globals().values() if isinstance(state, State)))
