import pytest

from exporter.probe import ProbeError
from exporter.probes.services import systemctl


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h 24min 55.073746s", 5095.073746),
        ("1y 1month 1w 1d", 31557600 + 2629800 + 604800 + 86400),
        ("5ms 3us", 0.005003),
        *(
            (text, None)
            for text in ("", "0", "infinity", "n/a", "1h 2parsecs", "1h-2min", "٣s", "9" * 5000 + "s")
        ),
    ],
)
def test_duration(text: str, seconds: float | None) -> None:
    """Durations are added up from all of systemd's units; what is none is None."""
    assert systemctl.duration(text) == (pytest.approx(seconds) if seconds else None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu 1970-01-01 00:01:00 UTC", 60),
        ("Mon 2026-11-23 01:18:33 UTC", 1795396713),
        *(
            (text, None)
            for text in ("", "n/a", "Mon 2026-11-23 01:18:33 CET", "Mon 2026-11-23 25:00:00 UTC", "@60")
        ),
    ],
)
def test_timestamp(text: str, seconds: float | None) -> None:
    """Timestamps are read in the zone that was asked for, and in no other."""
    assert systemctl.timestamp(text) == seconds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("17", 17),
        *((text, None) for text in ("", "[not set]", "-1", "1.5", "٣", str(2**64 - 1), "9" * 5000)),
    ],
)
def test_count(text: str, number: int | None) -> None:
    """Counts are whole; systemd's largest number means that it doesn't know."""
    assert systemctl.count(text) == number


def test_names() -> None:
    r"""A unit's names come apart; one that holds a backslash is quoted, in older versions it isn't."""
    assert systemctl.names({"Names": "a.service b.service"}) == {"a.service", "b.service"}
    assert systemctl.names({"Names": r'"a\\x2db.service"'}) == systemctl.names({"Names": r"a\x2db.service"})
    assert systemctl.names({}) == set()


def test_blocks() -> None:
    """Each unit's properties stand by themselves; a value may hold what divides names from values."""
    assert systemctl.parse_show("A=1\nB=x=y\n\nA=2\nB=\n") == [
        {"A": "1", "B": "x=y"},
        {"A": "2", "B": ""},
    ]
    assert systemctl.parse_show("") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=1\nB=2", "cut off"),
        ("A\n", "no property"),
        ("A=1\n\n" * 10_001, "more than 10000 units"),
    ],
)
def test_no_blocks(text: str, reason: str) -> None:
    """What is no whole answer is refused with a word for a person."""
    with pytest.raises(ProbeError, match=reason):
        systemctl.parse_show(text)
