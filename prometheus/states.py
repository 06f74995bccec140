"""The health states of a domain, each a code and a text.

The worse the state, the higher its code, so that ``max()`` finds the worst.
"""

from __future__ import annotations

from typing import NamedTuple


class State(NamedTuple):
    """A health code and its text."""

    code: int
    text: str


OFF = State(-1, "Off")  # switched off, or the box has no such thing
OK = State(0, "OK")

LOADING = State(2, "Loading")
MODEL_GONE = State(3, "Model gone")
QUEUE_GROWS = State(4, "Queue grows")
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

UNKNOWN = State(20, "Unknown")

HOT = State(21, "Hot")
ECC_ERRORS = State(22, "ECC errors")
NEARLY_OUT = State(23, "Nearly out")
FULL = State(24, "Full")
TOR_DOWN = State(25, "Tor down")
NOT_TOR = State(26, "Not Tor")
ENGINE_DOWN = State(27, "Engine down")
FAILED = State(28, "Failed")
FINDINGS = State(29, "Findings")
CHECK_FAILED = State(30, "Check failed")
GONE = State(31, "GPU missing")
SERVER_DOWN = State(32, "Server down")
NEEDS_RESET = State(33, "Needs reset")
DOWN = State(50, "Down")

STATES = tuple(sorted(state for state in globals().values() if isinstance(state, State)))
