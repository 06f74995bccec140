"""Metric families: declared once as constants, filled a sample at a time, unknown values left out."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

LARGEST = sys.float_info.max


class Family(Struct, frozen=True, eq=False):
    """A family's constant part; each is declared once.

    help: what the value is, and where it comes from. A counter's name ends in ``_total``.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


def gauge(name: str, help_: str, *labels: str) -> Family:
    """Declares a gauge."""
    return Family(name, help_, labels)


def counter(name: str, help_: str, *labels: str) -> Family:
    """Declares a counter; ``name`` ends in ``_total``."""
    return Family(name, help_, labels, counter=True)


class Samples:
    """Collects one run's samples, grouped by family in the order in which the families first appear."""

    def __init__(self) -> None:
        self._families: dict[Family, GaugeMetricFamily | CounterMetricFamily] = {}

    def add(self, family: Family, value: float | None, *labels: str) -> None:
        """Adds a sample. None, NaN, infinities and what is no float mean "not known": left out, never 0."""
        if value is None or not -LARGEST <= value <= LARGEST:
            return
        metric = self._families.get(family)
        if metric is None:
            kind = CounterMetricFamily if family.counter else GaugeMetricFamily
            metric = self._families[family] = kind(family.name, family.help, labels=family.labels)
        metric.add_metric(labels, value)

    def states(self, family: Family, state: str | None, known: Iterable[str], *labels: str) -> None:
        """Adds a 0/1 sample for every known state, and one for a state that nobody foresaw.

        The state is the family's last label. None means "not known" and adds nothing.
        """
        if state is None:
            return
        for name in dict.fromkeys((*known, state)):
            self.add(family, float(name == state), *labels, name)

    def families(self) -> list[Metric]:
        """Everything added so far."""
        return list(self._families.values())


def number(text: str, *, least: float = 0.0, most: float = LARGEST) -> float | None:
    """A finite number from ``least`` to ``most`` from a tool's output, or None for everything else.

    Tools spell "unknown" in many ways ([N/A], -1, nan, an overflown 1e400); none of them may become a value.
    Python's own leniency (``1_000``, other scripts' digits) is not a tool's number either.
    """
    try:
        value = float(text)
    except ValueError:
        return None
    if "_" in text or not text.isascii() or not math.isfinite(value) or not least <= value <= most:
        return None
    return value
