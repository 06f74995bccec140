"""The texts and colours of states and values, for every panel."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus import states
from prometheus.states import STATES, State

OK = "#2F6B41"  # Grafana's own green dominates a healthy page
WARNING = "orange"
CRITICAL = "red"
UNKNOWN = "purple"
NEUTRAL = "blue"
OFF = "#777777"  # inactive, or not reported
PLAIN = "text"  # a value below its thresholds
TRANSPARENT = "transparent"  # the background of a stat panel, in both themes

NO_VALUE = "\N{EN DASH}"

# Series of known names: colours that carry no state, so that a second GPU is never read as a warning.
LINES = ("#5794F2", "#F2CC0C", "#3FC1C9", "#E377C2", "#9A9AB5", "#B58863", "#8F9BFF", "#7FB800")

Texts = Mapping[int, tuple[str, str]]  # value: (text, colour)


def colour(state: State) -> str:
    """The colour of a state's severity."""
    if state.code <= 0:
        return OK if state.code == 0 else OFF
    if state.code == states.UNKNOWN.code:
        return UNKNOWN
    return WARNING if state.code < states.UNKNOWN.code else CRITICAL


def state_texts() -> Texts:
    """The texts and colours of all states."""
    return {state.code: (state.text, colour(state)) for state in STATES}
