import asyncio
import logging
from dataclasses import replace

import pytest

from exporter.engine.runner import GRACE, OLDEST, Runner, Snapshot
from exporter.metrics.families import Samples, gauge
from exporter.probe import Probe, ProbeError
from tests.clock import now, virtual_time
from tests.scripted import VALUE, Script, failing

CONSTANT = gauge("grid_constant", "A setting.")


def runner_of(script: Script, **schedule: float) -> Runner:
    return Runner(script.probe(**schedule), lambda: None, now)


async def run(runner: Runner) -> Snapshot:
    runner.start_if_due(now())
    await runner.finished()
    assert runner.snapshot is not None
    return runner.snapshot


def value(runner: Runner) -> float | None:
    family = runner.families(now()).get("grid_scripted")
    return float(family.samples.rsplit(b" ", 1)[1]) if family else None


@virtual_time
async def test_a_snapshot_holds_families_start_and_duration() -> None:
    """A successful run's snapshot holds the families, rendered, and how the run went."""
    runner = runner_of(Script(seconds=3))
    start = now()
    snapshot = await run(runner)
    assert value(runner) == 1
    assert (snapshot.success, snapshot.collected_at, snapshot.duration) == (True, start, 3)
    assert runner.runs == {"success": 1, "failure": 0, "timeout": 0}


@virtual_time
async def test_constants_are_served_whatever_becomes_of_runs() -> None:
    """Before the first run, after a failed one, and as those of the probe that took its place."""

    def constants(probe: Probe, number: float) -> Probe:
        samples = Samples()
        samples.add(CONSTANT, number)
        return replace(probe, constants=samples.families())

    def served(runner: Runner) -> list[bytes]:
        return [family.samples for family in runner.families(now()).values()]

    script = Script(error=failing())
    runner = Runner(constants(script.probe(), 2), lambda: None, now)
    assert served(runner) == [b"grid_constant 2.0\n"]
    await run(runner)
    assert served(runner) == [b"grid_constant 2.0\n"]
    script.error = None
    runner.replace(constants(script.probe(), 1))
    await run(runner)
    assert served(runner) == [b"grid_constant 1.0\n", b'grid_scripted{probe="scripted"} 2.0\n']


@virtual_time
async def test_a_probe_is_due_again_after_its_ttl_whatever_the_outcome() -> None:
    """Neither a success nor a failure is repeated before ttl has passed since the run's end."""
    script = Script(error=failing())
    runner = runner_of(script, ttl=2)
    await run(runner)
    await asyncio.sleep(1.9)
    runner.start_if_due(now())
    assert script.runs == 1
    await asyncio.sleep(0.2)
    await run(runner)
    assert script.runs == 2


@virtual_time
async def test_a_run_longer_than_its_ttl_pauses_for_as_long() -> None:
    """A slow tool never runs more than half of the time."""
    script = Script(seconds=8)
    runner = runner_of(script, ttl=2)
    await run(runner)
    await asyncio.sleep(7.9)
    runner.start_if_due(now())
    assert script.runs == 1
    await asyncio.sleep(0.2)
    await run(runner)
    assert script.runs == 2


@virtual_time
async def test_a_failure_keeps_the_last_good_values_for_a_time() -> None:
    """They are served until 3 ttl + timeout after the start of the run that collected them."""
    script = Script()
    runner = runner_of(script, ttl=2, timeout=10)
    start = now()
    await run(runner)
    script.error = failing()
    await asyncio.sleep(3)
    snapshot = await run(runner)
    assert (snapshot.success, snapshot.reason, snapshot.hint) == (False, "the tool is broken", "fix it")
    assert value(runner) == 1
    await asyncio.sleep(start + 15.9 - now())
    assert value(runner) == 1
    await asyncio.sleep(0.2)
    assert value(runner) is None


@virtual_time
async def test_no_value_older_than_ten_minutes_is_served() -> None:
    """Although no run failed: without scrapes for that long, values vanish until there are new ones."""
    runner = runner_of(Script(), ttl=60)
    await run(runner)
    await asyncio.sleep(OLDEST - 1)
    assert value(runner) == 1
    await asyncio.sleep(2)
    assert value(runner) is None


@pytest.mark.parametrize(("seconds", "ttl"), [(300, 60), (590, 60), (20, 3600)])
@virtual_time
async def test_values_of_long_runs_or_long_ttls_are_always_there(seconds: float, ttl: float) -> None:
    """A scan of five minutes, or one with a ttl of an hour, has its values in every scrape."""
    runner = runner_of(Script(seconds=seconds), ttl=ttl, wait=0, timeout=600)
    await run(runner)
    for _ in range(3 * 240):
        runner.start_if_due(now())
        assert value(runner) is not None
        await asyncio.sleep(15)


@virtual_time
async def test_after_a_failure_no_value_outlives_ten_minutes() -> None:
    """However long the ttl: a failing probe's values are not served for an hour."""
    script = Script()
    runner = runner_of(script, ttl=300)
    await run(runner)
    script.error = failing()
    await asyncio.sleep(301)
    await run(runner)
    assert value(runner) == 1
    await asyncio.sleep(OLDEST - 300)
    assert value(runner) is None


@virtual_time
async def test_a_failures_own_families_replace_the_last_good_ones() -> None:
    """What a failed run did collect is served in place of an earlier run's metrics."""
    script = Script()
    runner = runner_of(script)
    await run(runner)
    known = Samples()
    known.add(VALUE, 99, "scripted")
    script.error = ProbeError("half of it is broken", families=known.families())
    await asyncio.sleep(3)
    assert not (await run(runner)).success
    assert value(runner) == 99


@virtual_time
async def test_a_run_beyond_its_timeout_is_ended_and_counted() -> None:
    """A run that hangs is cancelled at the timeout and shows as a failure with its reason."""
    script = Script(seconds=3600)
    runner = runner_of(script, timeout=10)
    snapshot = await run(runner)
    assert snapshot.reason == "took longer than 10s and was ended"
    assert runner.runs["timeout"] == 1
    await asyncio.sleep(0)
    assert (script.under_way, runner.in_flight, runner.stuck) == (0, None, False)


@virtual_time
async def test_no_new_run_starts_until_an_unkillable_one_is_gone() -> None:
    """A process that can't be killed shows as stuck and keeps the next run away; then the probe recovers."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    runner = runner_of(script, timeout=10)
    snapshot = await run(runner)
    assert runner.stuck
    assert snapshot.reason == "took longer than 10s and can't be killed; no new run until it is gone"
    assert "state D" in snapshot.hint
    for _ in range(20):
        await asyncio.sleep(60)
        runner.start_if_due(now())
    assert (script.runs, runner.stuck) == (1, True)
    assert script.unkillable is not None
    script.unkillable.set()
    await asyncio.sleep(1)
    assert not runner.stuck
    script.seconds = 0
    assert (await run(runner)).success
    assert script.most_under_way == 1


@virtual_time
async def test_a_replaced_probe_waits_for_the_old_ones_process() -> None:
    """Across a reload too there is one run at a time, and the old result is not taken for the new."""
    old, new = Script(seconds=5, unkillable=asyncio.Event()), Script(seconds=1)
    runner = runner_of(old)
    runner.start_if_due(now())
    await asyncio.sleep(1)
    runner.replace(new.probe(settings="other"))
    await asyncio.sleep(30)
    runner.start_if_due(now())
    assert (new.runs, runner.snapshot) == (0, None)
    assert old.unkillable is not None
    old.unkillable.set()
    await asyncio.sleep(1)
    await run(runner)
    assert (new.runs, value(runner)) == (1, 1)


@virtual_time
async def test_a_replaced_probe_leaves_nothing_of_the_old_one() -> None:
    """Its metrics go at once, its run is ended at once, and every change is reported."""
    changes: list[float] = []
    old, new = Script(), Script()
    runner = Runner(old.probe(), lambda: changes.append(now()), now)
    await run(runner)
    old.seconds = 3600
    await asyncio.sleep(5)
    runner.start_if_due(now())
    await asyncio.sleep(1)
    changes.clear()
    replaced = now()
    runner.replace(new.probe(settings="other"))
    assert (value(runner), changes) == (None, [replaced])
    await asyncio.sleep(0.1)
    assert (old.under_way, runner.in_flight, changes) == (0, None, [replaced, replaced])


@virtual_time
async def test_a_run_replaced_before_it_began_is_ended() -> None:
    """A reload in the same moment must not leave the old probe's run for as long as its timeout."""
    old, new = Script(seconds=3600), Script()
    runner = runner_of(old)
    runner.start_if_due(now())
    runner.replace(new.probe(settings="other"))
    await asyncio.sleep(0.1)
    assert (old.under_way, runner.in_flight) == (0, None)


@virtual_time
async def test_stopping_ends_the_run_and_waits_for_its_process() -> None:
    """A tool that takes a moment to die is gone when the exporter is."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    runner = runner_of(script)
    runner.start_if_due(now())
    await asyncio.sleep(1)
    before = now()
    assert script.unkillable is not None
    asyncio.get_running_loop().call_later(0.5, script.unkillable.set)
    await runner.stop()
    assert (script.under_way, runner.in_flight, now() - before) == (0, None, 0.5)


@virtual_time
async def test_stopping_abandons_what_cannot_be_killed() -> None:
    """The end of the exporter waits for a killed tool at most as long as the grace."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    runner = runner_of(script)
    runner.start_if_due(now())
    await asyncio.sleep(1)
    before = now()
    await runner.stop()
    assert now() - before <= GRACE
    await asyncio.sleep(0.01)
    assert (script.under_way, runner.in_flight) == (0, None)


@virtual_time
async def test_a_bug_in_a_probe_is_a_failure_with_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that no probe should raise ends in the one sink for errors, its trace in the log once."""
    runner = runner_of(Script(error=ZeroDivisionError("oh")))
    for _ in range(3):
        snapshot = await run(runner)
        await asyncio.sleep(5)
    assert snapshot.reason == "a bug in grid-exporter: ZeroDivisionError: oh"
    assert "ZeroDivisionError: oh" in caplog.text
    assert len(caplog.records) == 1


@virtual_time
async def test_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged when it begins and a recovery when it comes; a first success is no recovery."""
    caplog.set_level(logging.INFO)
    script = Script()
    runner = runner_of(script)
    for error in (None, failing(), failing(), None, None):
        script.error = error
        await run(runner)
        await asyncio.sleep(5)
    assert [record.getMessage() for record in caplog.records] == [
        "scripted: the tool is broken",
        "scripted: works again",
    ]
