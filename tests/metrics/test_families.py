import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.families import Samples, counter, gauge, number

X = gauge("grid_x", "An x.", "name")
STATE = gauge("grid_state", "A state.", "name", "state")


def values(samples: Samples) -> dict[tuple[str, ...], float]:
    return {tuple(s.labels.values()): s.value for family in samples.families() for s in family.samples}


def test_unknown_values_are_left_out() -> None:
    """None, NaN, infinities and integers beyond every float never become a sample, let alone a 0."""
    samples = Samples()
    unknown = {"none": None, "nan": math.nan, "inf": -math.inf, "huge": 10**400, "low": -(10**400)}
    for name, value in {"known": 0.0, "large": 2**500, **unknown}.items():
        samples.add(X, value, name)
    assert values(samples) == {("known",): 0.0, ("large",): 2.0**500}


def test_a_state_has_a_series_for_every_possible_one() -> None:
    """One is 1 and the others 0; a state that nobody foresaw has one too; no state, no series."""
    samples = Samples()
    samples.states(STATE, "up", ("up", "down"), "a")
    samples.states(STATE, "sideways", ("up", "down"), "b")
    samples.states(STATE, None, ("up", "down"), "c")
    assert values(samples) == {
        ("a", "up"): 1, ("a", "down"): 0, ("b", "up"): 0, ("b", "down"): 0, ("b", "sideways"): 1,
    }  # fmt: skip


def test_a_counter_is_typed_as_one() -> None:
    """The TYPE that Prometheus sees is the one that was declared."""
    samples = Samples()
    samples.add(counter("grid_c_total", "A c."), 1)
    assert samples.families()[0].type == "counter"


@pytest.mark.parametrize(
    "text", ["", "[N/A]", "-1", "nan", "inf", "1e400", "1_000", "٣", "0x10", "1,5", "12 %"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    """No spelling of "unknown", and nothing that only Python takes for a number, becomes a value."""
    assert number(text) is None


@given(st.text())
def test_number_never_raises_and_never_gives_nonsense(text: str) -> None:
    """Whatever a tool prints is a finite number of at least zero, or None."""
    value = number(text)
    assert value is None or (math.isfinite(value) and value >= 0)


def test_numbers_may_have_blanks_and_another_least() -> None:
    """Tools pad their columns; temperatures may be below zero."""
    assert number(" 42.5 ") == 42.5
    assert number("-3", least=-100) == -3


def test_nothing_is_a_number() -> None:
    """0 is a value and does not mean unknown; the least allowed value is allowed."""
    assert number("0") == 0
    assert number("-5", least=-5) == -5
