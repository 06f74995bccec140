"""What a state is called and which colour it has: the one dictionary that every panel speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GOOD = "#2F6B41"  # Grafana's own green shouts, and on a healthy box it is most of the picture
LOOK = "orange"
ACT = "red"
BLIND = "purple"
NEUTRAL = "blue"
ASLEEP = "#777777"  # asleep, or not told
FAINT = "#7a8a80"  # good, where only trouble has colour
PLAIN = "text"  # a figure, until it passes a threshold
CLEAR = "transparent"  # a tile's ground, in both themes

NOTHING = "\N{EN DASH}"  # what stands where there is no figure

# Lines of known things: colours that mean nothing, so that nobody reads a warning into a second card.
LINES = ("#5794F2", "#F2CC0C", "#3FC1C9", "#E377C2", "#CCCCDC", "#B58863", "#8F9BFF", "#7FB800")

Words = Mapping[int, tuple[str, str]]  # value: (text, colour)


class State(NamedTuple):
    """A health code and its word. The worse the state, the higher its code, so that max() finds the worst."""

    code: int
    text: str

    @property
    def colour(self) -> str:
        """The colour of its kind: well, worth a look, cannot tell, to be acted on."""
        if self.code <= 0:
            return GOOD if self.code == 0 else ASLEEP
        if self.code == CANNOT_TELL.code:
            return BLIND
        return LOOK if self.code < CANNOT_TELL.code else ACT


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


def state_words(*, well: str = GOOD, absent: str = ABSENT.text, absent_colour: str = ASLEEP) -> Words:
    """The whole dictionary: a tile may name what is absent, a table may keep the good ones quiet."""
    words = {state.code: (state.text, state.colour) for state in STATES}
    words[WELL.code] = (WELL.text, well)
    words[ABSENT.code] = (absent, absent_colour)
    return words
