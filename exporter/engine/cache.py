"""All probes' runners together: what a scrape starts, and how long it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from exporter.engine.runner import Runner, boot_clock
from exporter.probe import Probe


class Cache:
    """Keeps a runner for every probe.

    generation: changes whenever anything that a scrape shows has changed: one comparison tells whether a kept
    answer is still good.
    """

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self.clock = clock
        self.generation = 0
        self.runners: dict[str, Runner] = {}
        self._leaving: dict[str, Runner] = {}

    def configure(self, probes: Iterable[Probe]) -> None:
        """Takes a new set of probes. An unchanged one keeps its metrics and its run in flight.

        One that is gone has its run ended. Should it come back before that happened, the same runner takes
        it: there are never two runs of a probe at a time.
        """
        wanted = {probe.name: probe for probe in probes}
        known = {**self._leaving, **self.runners}
        gone = [runner for name, runner in known.items() if name not in wanted]
        for runner in gone:
            runner.interrupt()
        self._leaving = {runner.probe.name: runner for runner in gone if runner.in_flight is not None}
        runners = {}
        for name, probe in wanted.items():
            runner = runners[name] = known.get(name) or Runner(probe, self._changed, self.clock)
            if runner.probe != probe or name not in self.runners:
                runner.replace(probe)
        self.runners = runners
        self._changed()

    def select(self, names: Collection[str]) -> list[Runner]:
        """The runners of the named probes or kinds of probes, all of them for no name at all.

        Raises:
            KeyError: with the name that is neither.
        """
        runners = list(self.runners.values())
        for name in names:
            if not any(runner.probe.goes_by(name) for runner in runners):
                raise KeyError(name)
        return [r for r in runners if not names or any(r.probe.goes_by(name) for name in names)]

    async def refresh(self, runners: Iterable[Runner], max_wait: float = float("inf")) -> None:
        """Starts what is due, all side by side, and waits for the quick ones, at most ``max_wait`` seconds.

        A caller that goes away cancels nothing: the runs are not its own.
        """
        now = self.clock()
        give_up_at = now + max_wait
        for runner in runners:
            runner.start_if_due(now)
        awaited = [(r.wait_deadline, r.in_flight) for r in runners if r.in_flight and r.wait_deadline > now]
        for deadline, in_flight in sorted(awaited, key=lambda pair: pair[0]):
            seconds = min(deadline, give_up_at) - self.clock()
            if seconds > 0:
                await asyncio.wait({in_flight}, timeout=seconds)

    def expires_at(self, runners: Iterable[Runner], now: float) -> float:
        """When the first of the current metrics become too old, if no run ends before (boot clock)."""
        return min((r.expires_at for r in runners if now < r.expires_at), default=float("inf"))

    def next_due_at(self, runners: Iterable[Runner], now: float) -> float:
        """Until when no run is due, and none is to be waited for, if none ends before (boot clock).

        A run in flight that no scrape waits for needs no check: its end changes the generation.
        """
        until = float("inf")
        for runner in runners:
            if runner.in_flight is None:
                until = min(until, runner.due_at)
            elif now < runner.wait_deadline:
                return now
        return until

    async def stop(self) -> None:
        """Ends every run. What can't be killed is left to the service manager."""
        runners = [*self.runners.values(), *self._leaving.values()]
        await asyncio.gather(*(runner.stop() for runner in runners))

    def _changed(self) -> None:
        self.generation += 1
