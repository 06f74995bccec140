"""Whether the machine is calm: what else runs on it, or beside it on its host, may take half of its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TURNS = 200_000
SLOWER = 1.25  # times the shortest spin: then others on the host take part of the processors
BUSY = 0.25  # of the processors' time: then others on this machine do
LOOK = 0.1  # seconds
TIMEOUT = 120.0  # seconds that are waited for calm in all, and spent on measuring again

_T = TypeVar("_T")


class Calm:
    """Looks before a measurement and after it whether all was calm, and has it made again where it was not.

    timeout: seconds to wait for calm in all; 0 takes every measurement as it comes.
    measurements: how many were made, those included that were made again.
    noisy, all: how many measurements were kept although it was not, since the time was up, and of how many.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.shortest = min(spin() for _ in range(20))
        self.left = timeout
        self.noisy = self.all = self.measurements = 0

    def measured(self, measure: Callable[[], _T]) -> _T:
        """What the measurement finds in a calm moment, if there is one."""
        self.all += 1
        while True:
            start = time.monotonic()
            while not (before := self._is_calm()) and time.monotonic() - start < self.left:
                pass
            found = measure()
            self.measurements += 1
            if before and self._is_calm():
                return found
            self.left -= time.monotonic() - start
            if self.left <= 0:
                self.noisy += 1
                return found

    def noise(self) -> str:
        """How calm it was, in words."""
        return f"{self.noisy} of {self.all} measurements were disturbed by others on the machine"

    def _is_calm(self) -> bool:
        idle, total = _times()
        time.sleep(LOOK)
        later = _times()
        busy = 1 - (later[0] - idle) / max(1, later[1] - total)
        last = spin()
        self.shortest = min(self.shortest, last)
        return busy < BUSY and last < SLOWER * self.shortest


def _times() -> tuple[int, int]:
    """What the processors idled so far, and their time in all, in ticks (/proc/stat)."""
    with Path("/proc/stat").open(encoding="ascii") as lines:
        ticks = [int(value) for value in next(lines).split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def spin() -> float:
    """How long a fixed loop takes, in seconds."""
    start = time.perf_counter()
    for _ in range(TURNS):
        pass
    return time.perf_counter() - start
