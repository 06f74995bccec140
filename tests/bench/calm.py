"""Whether the machine is calm: others on it may take half of its time for seconds on end."""

from __future__ import annotations

import time

TURNS = 200_000
NOISY = 1.25  # times the shortest spin
PATIENCE = 1.0  # seconds that a measurement waits for calm


class Calm:
    """Spins before a measurement until a spin takes about as long as the shortest so far.

    spins: how long each took that a measurement followed, in seconds.
    """

    def __init__(self) -> None:
        self.best = min(spin() for _ in range(20))
        self.spins: list[float] = []

    def wait(self) -> None:
        """Waits for calm, but not for ever."""
        end = time.monotonic() + PATIENCE
        while (last := spin()) > NOISY * self.best and time.monotonic() < end:
            time.sleep(0.1)
        self.best = min(self.best, last)
        self.spins.append(last)

    def noise(self) -> str:
        """How calm it was, in words."""
        if not self.spins:
            return "not measured"
        slower = sorted(last / self.best for last in self.spins)
        return (
            f"a fixed loop took {slower[len(slower) // 2]:.2f} times its shortest (at most {slower[-1]:.2f})"
        )


def spin() -> float:
    """How long a fixed loop takes, in seconds."""
    start = time.perf_counter()
    for _ in range(TURNS):
        pass
    return time.perf_counter() - start
