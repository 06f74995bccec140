import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.humanize import duration, percent, pluralize, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 ms"), (0, "0 ms"), (0.0004, "0 ms"), (0.04, "40 ms"), (0.999, "999 ms"), (0.9996, "1.0 s"),
     (1.52, "1.5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (12.3, "12 s"), (119, "119 s"), (120, "2 min"),
     (7199, "120 min"), (7200, "2 h"), (172799, "48 h"), (172800, "2 days"), (1e9, "11574 days")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    """The largest unit of which there are two."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1.00 kB"), (1000, "1.00 kB"), (7.42e9, "7.42 GB"),
     (68.72e9, "68.7 GB"), (412.4e9, "412 GB"), (999.9e9, "1.00 TB"), (2e18, "2000 PB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    """Three digits, in powers of 1000 as disks are sold."""
    assert size(count) == text


@given(st.floats(0, 1e18))
def test_a_size_is_close(count: float) -> None:
    """Whatever the size, the text is within half a percent of it, or half a byte."""
    text = re.fullmatch(r"(\d+(?:\.\d+)?) (k|M|G|T|P|)B", size(count))
    assert text
    meant = float(text[1]) * 1000 ** " kMGTP".index(text[2] or " ")
    assert meant == pytest.approx(count, rel=0.0051, abs=0.5)


def test_counts_and_percentages() -> None:
    """One is singular, all else plural; a share is in whole percent."""
    assert [pluralize(n, "card") for n in (0, 1, 2)] == ["0 cards", "1 card", "2 cards"]
    assert percent(1, 3) == "33%"
