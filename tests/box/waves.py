"""Values that move as those of a busy machine do, by the time and a key alone: always the same again."""

from __future__ import annotations

import math
import time

from tests.box.quick import read

SHAPE = ((0.6, 1.0), (0.3, 2.7), (0.1, 7.3))  # the share of each sine, and how often it fits into the period
SWING = 0.6  # of a rate, around its mean


def now(box: str) -> float:
    """The box's Unix time: the machine's, or the one that it was frozen at."""
    try:
        return float(read(f"{box}/clock"))
    except FileNotFoundError:
        return time.time()


def wave(key: str, moment: float, low: float, high: float, period: float = 600) -> float:
    """A value between ``low`` and ``high``, which comes round in about ``period`` seconds."""
    start = _phase(key)
    shares = (share * math.sin(start + often * math.tau * moment / period) for share, often in SHAPE)
    return low + (high - low) * (1 + sum(shares)) / 2


def total(key: str, since: float, moment: float, rate: float, period: float = 300) -> float:
    """What a moving rate of this mean has added up to between two times; it never goes down."""
    scale = math.tau / period

    def reached(when: float) -> float:
        return when - SWING / scale * math.cos(_phase(key) + scale * when)

    return max(0.0, rate * (reached(moment) - reached(since)))


def _phase(key: str) -> float:
    """Where in its period a key begins, in radians: any, but always the same."""
    return int.from_bytes(key.encode(), "big") % 9973 / 9973 * math.tau
