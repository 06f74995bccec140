"""Loads and unloads of a server's models, as two reads that follow one another show them."""

from __future__ import annotations

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probes.llm.families import LOADS, UNLOADS
from exporter.probes.llm.reading import Model, Reading

KEPT = 128  # models that are remembered
REASONS = ("expired", "early", "unknown", "server_down")
RESIDENT = {"loaded", "sleeping", "unloading"}


class _Counts(Struct):
    loads: int = 0
    unloads: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))


class History(Struct):
    """What was seen since the exporter started. What the first read shows did not load."""

    _loaded: dict[str, Model] | None = None  # as they were at the last read
    _counts: dict[str, _Counts] = field(default_factory=dict)

    def record(self, reading: Reading, now: float, *, restarted: bool = False) -> None:
        """Compares a read with the one before. One that does not show all models says nothing of them.

        restarted: whether the server was started anew since, which unloads all.
        """
        if restarted or (not reading.up and reading.errors & {"refused"}):
            for name in self._loaded or ():
                self._count(name).unloads["server_down"] += 1
            self._loaded = {} if self._loaded is not None else None
        if not reading.up or not reading.complete:
            return
        current = {name: it for name, it in reading.models.items() if it.state in RESIDENT}
        if self._loaded is not None:
            for name in current.keys() - self._loaded.keys():
                self._count(name).loads += 1
            for name in self._loaded.keys() - current.keys():
                self._count(name).unloads[_reason(self._loaded[name], now)] += 1
        for name in current:
            self._count(name)
        self._loaded = current

    def add(self, samples: Samples, server: str) -> None:
        """Adds the counters."""
        for name, counts in self._counts.items():
            samples.add(LOADS, counts.loads, server, name)
            for reason, number in counts.unloads.items():
                samples.add(UNLOADS, number, server, name, reason)

    def _count(self, name: str) -> _Counts:
        """A model's counts, which become the newest; beyond so many the oldest are forgotten."""
        counts = self._counts.pop(name, None) or _Counts()
        self._counts[name] = counts
        while len(self._counts) > KEPT:
            del self._counts[next(iter(self._counts))]
        return counts


def _reason(model: Model, now: float) -> str:
    """Why a model is gone: it was to expire by now, or was not; unknown where its server reports no time."""
    if model.expires is not None:
        return "expired" if model.expires <= now else "early"
    return "early" if model.pinned else "unknown"
