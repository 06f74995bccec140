"""Runs one probe: never twice at a time, never longer than its timeout, and keeps what the last run left."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from exporter.metrics.exposition import Rendered, Renderer, render
from exporter.probe import Note, Probe, ProbeError

log = logging.getLogger(__name__)

Outcome = Literal["success", "failure", "timeout"]
OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "timeout")
NO_FAMILIES: Mapping[str, Rendered] = {}

GRACE = 1.0  # seconds that a killed tool has to be gone before its probe counts as stuck
OLDEST = 600.0  # seconds: no value is served beyond this age, unless new ones are due no sooner
MORE_MEMORY = "let it have more (MemoryMax= in its unit), or see what the tool prints so much of"


def boot_clock() -> float:
    """Seconds since boot, suspended time included: CLOCK_BOOTTIME, which is monotonic."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Snapshot(Struct, frozen=True, kw_only=True):
    """What the runs so far left. Immutable: a run replaces it whole.

    families: of the last run that collected any, rendered.
    collected_at: when that run started (boot clock).
    success, reason, hint, notes: how the last run went, for a person.
    started, last_success: Unix time of the last run's start, and of the last good one's.
    finished_at: when the last run ended (boot clock). duration: how long it took, in seconds.
    """

    families: Mapping[str, Rendered] = field(default_factory=dict)
    collected_at: float = 0.0
    success: bool
    reason: str = ""
    hint: str = ""
    notes: tuple[Note, ...] = ()
    started: float
    last_success: float | None = None
    finished_at: float
    duration: float


class RunResult(Struct, frozen=True):
    """What one run returned: families, rendered, or why it failed. bug: an error that is no ProbeError."""

    families: Mapping[str, Rendered] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    outcome: Outcome = "success"
    reason: str = ""
    hint: str = ""
    bug: Exception | None = None


class Runner(Struct):
    """One probe's runs, one at a time.

    changed: called whenever something that a scrape shows has changed.
    """

    probe: Probe
    changed: Callable[[], None]
    clock: Callable[[], float] = boot_clock
    snapshot: Snapshot | None = None
    runs: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    stuck: bool = False
    in_flight: asyncio.Task[None] | None = None  # lasts until the run's last process is gone
    task: asyncio.Task[RunResult] | None = None  # the probe's own part of it
    wait_deadline: float = 0.0  # boot clock: scrapes wait for the run in flight until then
    renderer: Renderer = field(default_factory=Renderer)
    constants: Mapping[str, Rendered] = NO_FAMILIES

    def __post_init__(self) -> None:
        """Renders what does not change from run to run."""
        self.constants = render(self.probe.constants)

    @property
    def due_at(self) -> float:
        """When the next run may start (boot clock): ``ttl`` after the last one's end, or its own duration."""
        if self.snapshot is None:
            return 0.0
        return self.snapshot.finished_at + max(self.probe.schedule.ttl, self.snapshot.duration)

    @property
    def expires_at(self) -> float:
        """When the current metrics are too old to be served (boot clock).

        While runs succeed there is time for the next one, however long the ttl or a run: otherwise the
        metrics of a scan that takes five minutes would come and go.
        """
        last, schedule = self.snapshot, self.probe.schedule
        if last is None or not last.families:
            return 0.0
        if last.success:
            return last.collected_at + max(OLDEST, 2 * (self.due_at - last.collected_at))
        return last.collected_at + min(3 * schedule.ttl + schedule.timeout, OLDEST)

    def families(self, now: float) -> Mapping[str, Rendered]:
        """The metrics that may be served at ``now``."""
        found = self.snapshot.families if self.snapshot and now < self.expires_at else NO_FAMILIES
        return {**self.constants, **found} if self.constants else found

    def start_if_due(self, now: float) -> None:
        """Starts a run when one is due and none is in flight, and sets how long scrapes wait for it.

        They wait where metrics are missing or twice their ttl old, and only where the last run was quick.
        """
        if self.in_flight is not None or now < self.due_at:
            return
        schedule, last = self.probe.schedule, self.snapshot
        overdue = last is None or now - last.finished_at > 2 * schedule.ttl
        eligible = last is None or last.duration <= schedule.wait
        self.wait_deadline = now + schedule.wait if overdue and eligible else now
        self.task = asyncio.create_task(_collect(self.probe, self.renderer), name=f"{self.probe.name} task")
        self.in_flight = asyncio.create_task(self._execute(self.probe, self.task, now), name=self.probe.name)

    def replace(self, probe: Probe) -> None:
        """Takes another probe of the same name; the old one's snapshot is dropped and its run ended.

        Until its process is gone no new run starts, just as after a timeout.
        """
        self.probe = probe
        self.constants = render(probe.constants)
        self.snapshot = None
        self.interrupt()
        self.changed()

    def interrupt(self) -> None:
        """Cancels the run in flight; a process that can't be killed keeps it in flight."""
        if self.task is not None and not self.task.cancelling():
            self.task.cancel()

    async def finished(self) -> None:
        """Waits until the run in flight has left its snapshot; an unkillable process is not awaited."""
        while self.in_flight is not None and not self.stuck:
            await asyncio.wait({self.in_flight}, timeout=GRACE)

    async def stop(self) -> None:
        """Ends the run in flight for good: a process that can't be killed within the grace is abandoned."""
        if self.in_flight is None:
            return
        self.interrupt()
        await asyncio.wait({self.in_flight}, timeout=GRACE)
        if self.task is not None:
            self.task.cancel()

    async def _execute(self, probe: Probe, task: asyncio.Task[RunResult], started: float) -> None:
        """One run, from its start until its last process is gone."""
        wall = time.time()
        try:
            await asyncio.wait({task}, timeout=probe.schedule.timeout)
            late = not task.done()
            if late:
                self.interrupt()
                await asyncio.wait({task}, timeout=GRACE)
                self.stuck = not task.done()
            if probe is self.probe:
                result = _timed_out(probe, stuck=self.stuck) if late else task.result()
                self._conclude(result, started, wall)
            if not task.done():  # else no pause: the snapshot and the run's end are one change
                await asyncio.wait({task})
        finally:
            self.stuck, self.in_flight, self.task = False, None, None
            self.changed()

    def _conclude(self, result: RunResult, started: float, wall: float) -> None:
        """Puts the finished run's snapshot in the last one's place."""
        last, success = self.snapshot, result.outcome == "success"
        keep = last is not None and not success and not result.families
        finished_at = self.clock()
        self.snapshot = Snapshot(
            families=last.families if last and keep else result.families,
            collected_at=last.collected_at if last and keep else started,
            success=success,
            reason=result.reason,
            hint=result.hint,
            notes=result.notes,
            started=wall,
            last_success=wall if success else last.last_success if last else None,
            finished_at=finished_at,
            duration=finished_at - started,
        )
        self.runs[result.outcome] += 1
        _log_change(self.probe.name, last, self.snapshot, result.bug)
        self.changed()


async def _collect(probe: Probe, renderer: Renderer) -> RunResult:
    """Runs the probe and renders its families. The one place where a probe's errors end."""
    try:
        try:
            result = await probe.run()
        except ProbeError as error:
            families = await renderer.render(error.families)
            return RunResult(families, outcome="failure", reason=error.reason, hint=error.hint)
        return RunResult(await renderer.render(result.families), result.notes)
    except MemoryError:
        return RunResult(outcome="failure", reason="the exporter ran out of memory", hint=MORE_MEMORY)
    except Exception as error:  # noqa: BLE001 - here is where they end; it is logged with its trace
        reason = f"a bug in grid-exporter: {type(error).__name__}: {error}"
        return RunResult(outcome="failure", reason=reason, bug=error)


def _timed_out(probe: Probe, *, stuck: bool) -> RunResult:
    reason = f"took longer than {probe.schedule.timeout:g}s and was ended"
    hint = "see what the tool hangs on: run it by hand as the exporter's user"
    if stuck:
        reason = (
            f"took longer than {probe.schedule.timeout:g}s and can't be killed; no new run until it is gone"
        )
        hint = "a dead mount or driver holds its process (state D in `ps`)"
    return RunResult(outcome="timeout", reason=reason, hint=hint)


def _log_change(name: str, last: Snapshot | None, now: Snapshot, bug: Exception | None) -> None:
    """Logs when a probe begins to fail and when it works again, not every time."""
    failed_before = last is not None and not last.success
    if not now.success and not failed_before:
        log.warning("%s: %s", name, now.reason, exc_info=bug)
    elif now.success and failed_before:
        log.info("%s: works again", name)
