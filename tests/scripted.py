"""A probe whose runs a test controls: how long they take, their result, whether they can be ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from exporter.metrics.families import Samples, gauge
from exporter.probe import Duration, Probe, ProbeError, Result, Schedule

VALUE = gauge("grid_scripted", "The number of the run.", "probe")


@dataclass
class Script:
    """Counts its runs; each returns the number of the run.

    seconds: how long a run takes. error: raised at the end of one. unkillable: while set, ending a run waits
    until it is released, as a process in an uninterruptible sleep does.
    """

    name: str = "scripted"
    seconds: float = 0.0
    error: Exception | None = None
    unkillable: asyncio.Event | None = None
    kind: str = ""
    runs: int = 0
    under_way: int = 0
    most_under_way: int = 0
    started: list[float] = field(default_factory=list)

    async def run(self) -> Result:
        """One run."""
        self.runs += 1
        number = self.runs
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.started.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            if self.unkillable:
                await self.unkillable.wait()
            raise
        finally:
            self.under_way -= 1
        if self.error:
            raise self.error
        samples = Samples()
        samples.add(VALUE, number, self.name)
        return Result(samples.families())

    def probe(
        self, *, ttl: float = 2, wait: float = 5, timeout: float = 10, settings: object = None
    ) -> Probe:
        """The probe that runs this script."""
        schedule = Schedule(ttl=Duration(ttl), wait=Duration(wait), timeout=Duration(timeout))
        return Probe(self.name, schedule, settings, self.run, kind=self.kind)


def held(release: asyncio.Event) -> Script:
    """A script each of whose runs waits until it is released."""
    script = Script()
    run = script.run

    async def waiting() -> Result:
        await release.wait()
        return await run()

    script.run = waiting  # type: ignore[method-assign]
    return script


def failing(reason: str = "the tool is broken") -> ProbeError:
    """What a failing probe raises."""
    return ProbeError(reason, "fix it")
