"""What a state is called and which colour it has: the one dictionary that every panel speaks."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus.states import ABSENT, CANNOT_TELL, STATES, WELL, State

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


def colour(state: State) -> str:
    """The colour of a state's kind: well, worth a look, cannot tell, to be acted on."""
    if state.code <= 0:
        return GOOD if state.code == 0 else ASLEEP
    if state.code == CANNOT_TELL.code:
        return BLIND
    return LOOK if state.code < CANNOT_TELL.code else ACT


def state_words(*, well: str = GOOD, absent: str = ABSENT.text, absent_colour: str = ASLEEP) -> Words:
    """The whole dictionary: a tile may name what is absent, a table may keep the good ones quiet."""
    words = {state.code: (state.text, colour(state)) for state in STATES}
    words[WELL.code] = (WELL.text, well)
    words[ABSENT.code] = (absent, absent_colour)
    return words
