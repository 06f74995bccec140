"""The few pieces of PromQL that every alert is made of."""

from __future__ import annotations

JOB = 'job=~"grid.*"'
# A scrape that fails ends every series of the box at once. Looking back this far keeps what was seen, so that
# a restart or a lost scrape neither resolves an alert nor starts its wait anew. It is longer than
# GridExporterDown takes to fire: that one takes over before the box's other alerts end.
GAP_SECONDS = 10 * 60


def series(name: str, *matchers: str) -> str:
    """A selector of every watched box's series of this name."""
    return f"{name}{{{', '.join((JOB, *matchers))}}}"


def over(seconds: int, name: str, *matchers: str) -> str:
    """The same series' samples of the last so many seconds."""
    return f"{series(name, *matchers)}[{span(seconds)}]"


def latest(name: str, *matchers: str) -> str:
    """Each series' last value, across a gap in the scrapes."""
    return f"last_over_time({over(GAP_SECONDS, name, *matchers)})"


def span(seconds: int) -> str:
    """A duration as Prometheus writes it, in the largest unit that holds it whole: 5400 is ``90m``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
