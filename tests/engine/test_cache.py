import asyncio
import contextlib
import random

import pytest

from exporter.engine.cache import Cache
from exporter.engine.runner import GRACE
from exporter.metrics.exposition import Rendered
from tests.clock import now, virtual_time
from tests.scripted import Script, failing


def cache_of(*scripts: Script, **schedule: float) -> Cache:
    cache = Cache(now)
    cache.configure([script.probe(**schedule) for script in scripts])
    return cache


async def scrape(cache: Cache, max_wait: float = float("inf")) -> tuple[float, float]:
    """Scrapes; returns how long that took and the age of the only probe's values (-1: there are none)."""
    before = now()
    runners = cache.select([])
    await cache.refresh(runners, max_wait)
    runner = runners[0]
    age = now() - runner.snapshot.collected_at if runner.snapshot and runner.families(now()) else -1.0
    return now() - before, age


@virtual_time
async def test_a_thousand_scrapes_share_one_run() -> None:
    """Single flight: however many ask at once, the probe runs once, and all get that run's values."""
    script = Script(seconds=1)
    cache = cache_of(script)
    answers = await asyncio.gather(*(scrape(cache) for _ in range(1000)))
    assert script.runs == 1
    assert set(answers) == {(1.0, 1.0)}


@virtual_time
async def test_a_storm_never_waits_once_there_are_metrics() -> None:
    """Scrapes every 10 ms are answered at once while the probe takes 3 s; its runs stay bounded by ttl."""
    script = Script(seconds=3)
    cache = cache_of(script, ttl=2)
    await scrape(cache)
    start = now()
    while now() < start + 60:
        took, age = await scrape(cache)
        assert took == 0
        assert 0 <= age <= 3 + 3 + 3 + 0.1  # a run, a pause for as long, another run
        await asyncio.sleep(0.01)
    assert script.runs <= 60 / 2 + 1
    assert script.most_under_way == 1


@pytest.mark.parametrize("interval", [5, 15, 60, 300])
@pytest.mark.parametrize("replicas", [1, 2])
@virtual_time
async def test_quick_probes_are_measured_at_the_scrape(interval: int, replicas: int) -> None:
    """Whether scraped each 5 s or each 5 min, by one Prometheus or two, a quick probe is fresh."""
    cache = cache_of(Script(seconds=0.25), ttl=2)
    for _ in range(20):
        for _ in range(replicas):
            took, age = await scrape(cache)
            assert took <= 0.25
            assert age <= 0.25 + 1
            await asyncio.sleep(1)
        await asyncio.sleep(interval - replicas - 0.25)


@pytest.mark.parametrize("interval", [5, 15, 60, 300])
@virtual_time
async def test_slow_probes_never_hold_a_scrape(interval: int) -> None:
    """A disk scan of 20 s is never waited for; its values are at most an interval and two scans old."""
    cache = cache_of(Script(seconds=20), ttl=60, wait=0, timeout=600)
    for count in range(20):
        took, age = await scrape(cache)
        assert took == 0
        if count * interval > 100:
            assert 0 <= age <= 60 + 20 + 20 + interval
        await asyncio.sleep(interval)


@virtual_time
async def test_a_foreground_wait_counts_from_the_runs_start() -> None:
    """A later scrape waits only for what is left of ``wait``, then gets what there is."""
    cache = cache_of(Script(seconds=9), wait=5)
    first = asyncio.create_task(scrape(cache))
    await asyncio.sleep(3)
    assert await scrape(cache) == (2.0, -1.0)
    assert await first == (5.0, -1.0)


@virtual_time
async def test_prometheus_timeout_bounds_the_wait() -> None:
    """A scrape never waits past its own timeout, though the run would finish within ``wait``."""
    assert await scrape(cache_of(Script(seconds=4), wait=5), max_wait=1.5) == (1.5, -1.0)


@virtual_time
async def test_a_scrape_waits_for_no_run_started_after_it() -> None:
    """While a scrape waits for one probe, another scrape may start another's next run, and waits alone."""
    slow, quick = Script("slow", seconds=3600), Script("quick")
    cache = cache_of(slow, quick, ttl=2, wait=5)
    first = asyncio.create_task(scrape(cache))
    await asyncio.sleep(4.5)
    quick.seconds = 3600
    second = asyncio.create_task(scrape(cache))
    assert (await first)[0] == 5
    assert (await second)[0] == 5


@virtual_time
async def test_a_hung_tool_delays_one_scrape_and_none_after_it() -> None:
    """After a run longer than ``wait`` no scrape waits, until one was quick again."""
    script = Script()
    cache = cache_of(script, ttl=2, wait=5, timeout=10)
    await scrape(cache)
    await asyncio.sleep(15)
    script.seconds = 3600
    delays = []
    for _ in range(6):
        delays.append((await scrape(cache))[0])
        await asyncio.sleep(15)
    assert delays == [5, 0, 0, 0, 0, 0]
    script.seconds = 0
    recovering = []
    for _ in range(3):
        recovering.append((await scrape(cache))[0])
        await asyncio.sleep(15)
    assert recovering == [0, 0, 0]
    assert (await scrape(cache))[1] == 0


@virtual_time
async def test_a_tool_that_fails_at_once_does_not_run_more_often() -> None:
    """One that fails in 10 ms under a storm runs no more often than one that works."""
    script = Script(seconds=0.01, error=failing())
    cache = cache_of(script, ttl=2)
    start = now()
    while now() < start + 60:
        await scrape(cache)
        await asyncio.sleep(0.02)
    assert script.runs <= 60 / 2 + 1


@virtual_time
async def test_a_client_that_goes_away_cancels_nothing() -> None:
    """The run belongs to no scrape: it finishes and leaves its values though the scrape was cancelled."""
    script = Script(seconds=2)
    cache = cache_of(script)
    impatient = asyncio.create_task(scrape(cache))
    await asyncio.sleep(1)
    impatient.cancel()
    await asyncio.sleep(2)
    assert await scrape(cache) == (0, 3.0)
    assert script.runs == 1


@virtual_time
async def test_one_broken_probe_does_not_touch_another() -> None:
    """While one hangs and one fails, the third's values are fresh at every scrape."""
    good = Script("good")
    cache = cache_of(good, Script("hung", seconds=3600), Script("broken", error=failing()))
    for _ in range(10):
        assert (await scrape(cache))[1] <= 5
        await asyncio.sleep(15)
    assert good.runs >= 10


@virtual_time
async def test_unchanged_probes_keep_metrics_and_run_over_a_reload() -> None:
    """A reload with the same settings neither loses metrics nor starts anything."""
    quick, slow = Script("quick"), Script("slow", seconds=4)
    cache = cache_of(quick, slow)
    cache.select([])[1].start_if_due(now())
    await scrape(cache, max_wait=1)
    cache.configure([quick.probe(), slow.probe()])
    await scrape(cache)
    assert (quick.runs, slow.runs) == (1, 1)


@virtual_time
async def test_a_probe_removed_and_added_again_runs_once_at_a_time() -> None:
    """While an old run can't be ended, a probe that was removed and added again waits for it."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    cache = cache_of(script, timeout=10)
    await scrape(cache)
    cache.configure([])
    assert cache.select([]) == []
    await asyncio.sleep(5)
    cache.configure([script.probe(timeout=10)])
    await scrape(cache)
    assert (script.runs, script.most_under_way) == (1, 1)
    assert script.unkillable is not None
    script.unkillable.set()
    script.seconds = 0
    await asyncio.sleep(20)
    await scrape(cache)
    assert (script.runs, script.most_under_way) == (2, 1)


@virtual_time
async def test_a_removed_probe_has_its_run_ended_at_once() -> None:
    """Its process ends, and no kept body shows it."""
    script = Script(seconds=3600)
    cache = cache_of(script)
    await scrape(cache, max_wait=1)
    generation = cache.generation
    cache.configure([])
    assert cache.generation != generation
    await asyncio.sleep(0.1)
    assert script.under_way == 0


@virtual_time
async def test_probes_are_selected_by_name_or_kind() -> None:
    """``disk`` is every directory's probe, ``disk:/a`` is one; a name that is neither is an error."""
    cache = cache_of(Script("disk:/a"), Script("disk:/b"), Script("host"))
    assert [r.probe.name for r in cache.select(["disk"])] == ["disk:/a", "disk:/b"]
    assert [r.probe.name for r in cache.select(["disk:/b", "host"])] == ["disk:/b", "host"]
    with pytest.raises(KeyError, match="nope"):
        cache.select(["host", "nope"])


@virtual_time
async def test_a_kind_has_its_name_in_the_configuration_too() -> None:
    """The probes under ``commands:`` are selected by ``commands`` as well as by ``command``."""
    cache = cache_of(
        Script("command:ups", kind="commands"), Script("host"), Script("command:room", kind="commands")
    )
    for name in ("commands", "command"):
        assert [r.probe.name for r in cache.select([name])] == ["command:ups", "command:room"]
    with pytest.raises(KeyError, match="commands"):
        cache_of(Script("host")).select(["commands"])


@virtual_time
async def test_a_run_that_no_scrape_waits_for_is_never_due() -> None:
    """A stuck probe doesn't defeat the fast path: its end changes the generation."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    cache = cache_of(script, wait=0, timeout=10)
    await scrape(cache)
    generation = cache.generation
    assert cache.next_due_at(cache.select([]), now()) == float("inf")
    await asyncio.sleep(20)
    assert cache.generation != generation
    assert cache.next_due_at(cache.select([]), now()) == float("inf")
    await cache.stop()


@virtual_time
async def test_next_due_at_is_the_first_probes() -> None:
    """It is the time when the first probe becomes due."""
    cache = cache_of(Script("soon"), ttl=2)
    await scrape(cache)
    assert cache.next_due_at(cache.select([]), now()) == now() + 2
    runner = cache.select([])[0]
    assert isinstance(runner.families(now())["grid_scripted"], Rendered)


class Chance:
    """Does to a cache of four probes whatever may happen to one, in random order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - not for secrets
        self.scripts = [Script(name) for name in "abcd"]
        self.cache = Cache(now)
        self.scrapes: list[asyncio.Task[None]] = []
        self.steps = (
            self._reload,
            self._slow_down,
            self._fail,
            self._get_stuck,
            self._ask,
            self._give_up,
            self._back_off,
        )

    async def _reload(self) -> None:
        chosen = [script for script in self.scripts if self.random.random() < 0.7]
        self.cache.configure([script.probe(ttl=1, settings=self.random.choice("xy")) for script in chosen])

    async def _slow_down(self) -> None:
        self.random.choice(self.scripts).seconds = self.random.choice([0, 0, 0.5, 4, 20, 1000])

    async def _fail(self) -> None:
        self.random.choice(self.scripts).error = self.random.choice([None, failing(), ZeroDivisionError()])

    async def _get_stuck(self) -> None:
        script = self.random.choice(self.scripts)
        if script.unkillable:
            script.unkillable.set()
        script.unkillable = None if script.unkillable else asyncio.Event()

    async def _ask(self) -> None:
        self.scrapes.append(asyncio.create_task(self._one_scrape(self.random.choice([0.1, 1, 100]))))

    async def _one_scrape(self, max_wait: float) -> None:
        before = now()
        await self.cache.refresh(self.cache.select([]), max_wait)
        assert now() - before <= min(max_wait, 5) + 1e-6

    async def _give_up(self) -> None:
        if self.scrapes:
            self.random.choice(self.scrapes).cancel()

    async def _back_off(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0.01, 1, 3, 30]))


@pytest.mark.parametrize("seed", range(50))
@virtual_time
async def test_any_order_of_events_keeps_runs_single_and_scrapes_short(seed: int) -> None:
    """Reloads, failures, hangs, cancelled scrapes and stuck processes, in any order."""
    chance = Chance(seed)
    for _ in range(200):
        await chance.random.choice(chance.steps)()
    for scrape in chance.scrapes:
        with contextlib.suppress(asyncio.CancelledError):
            await scrape
    before = now()
    await chance.cache.stop()
    assert now() - before <= GRACE + 1e-6
    for script in chance.scripts:
        assert script.most_under_way <= 1
        if script.unkillable:
            script.unkillable.set()
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
