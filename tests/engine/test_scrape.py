import asyncio
import gzip
import time

import pytest

from exporter.engine.cache import Cache
from exporter.engine.scrape import KEPT, RENEWED_EVERY, Scraper
from exporter.engine.self_metrics import Reload, SelfMetrics
from tests.clock import now, virtual_time
from tests.scripted import Script


def scraper_of(*scripts: Script, ttl: float = 2) -> Scraper:
    cache = Cache(now)
    cache.configure([script.probe(ttl=ttl) for script in scripts])
    return Scraper(cache, SelfMetrics(["scripted"], ["scripted"], Reload(successful=True, time=time.time())))


async def scrape(scraper: Scraper, *names: str, compress: bool = False) -> bytes:
    kept = scraper.kept(names, compress=compress)
    return kept if kept is not None else await scraper.scrape(names, float("inf"), compress=compress)


@virtual_time
async def test_a_body_is_kept_until_something_changes() -> None:
    """The same bytes go out again without work, and no longer once something that they show is another."""
    scraper = scraper_of(Script(), ttl=60)
    body = await scrape(scraper)
    assert await scrape(scraper) is body
    scraper.cache.generation += 1
    assert await scrape(scraper) is not body


@virtual_time
async def test_a_scrape_that_starts_no_run_costs_a_look_up() -> None:
    """Until a probe is due the kept body is all that is looked at; while a run is awaited it is no answer."""
    script = Script()
    scraper = scraper_of(script, ttl=60)
    body = await scraper.scrape([], float("inf"), compress=False)
    assert scraper.kept([], compress=False) is body
    await asyncio.sleep(200)
    script.seconds = 3
    asking = asyncio.create_task(scraper.scrape([], float("inf"), compress=False))
    await asyncio.sleep(1)
    assert scraper.kept([], compress=False) is None
    body = await asking
    assert scraper.kept([], compress=False) is body


@virtual_time
async def test_the_exporters_own_metrics_are_renewed_each_second() -> None:
    """A kept body is good for a second at most, so that process_* and ages stay true."""
    scraper = scraper_of(Script(), ttl=60)
    body = await scrape(scraper)
    await asyncio.sleep(RENEWED_EVERY)
    assert await scrape(scraper) is not body


@virtual_time
async def test_a_probe_that_is_due_runs_although_a_body_is_kept() -> None:
    """A kept body never hides that a probe is due."""
    script = Script()
    scraper = scraper_of(script, ttl=1.5)
    await scrape(scraper)
    await asyncio.sleep(0.9)
    await scrape(scraper)
    await asyncio.sleep(0.7)
    await scrape(scraper)
    await asyncio.sleep(0.1)
    assert script.runs == 2


@virtual_time
async def test_a_run_costs_one_new_body() -> None:
    """That a run begins changes nothing that is shown; its end does, once."""
    script = Script()
    scraper = scraper_of(script, ttl=1.5)
    await scrape(scraper)
    await asyncio.sleep(1.2)
    body = await scrape(scraper)
    script.seconds = 0.5
    await asyncio.sleep(0.4)
    assert await scrape(scraper) is body
    await asyncio.sleep(0.1)
    assert script.under_way == 1
    assert await scrape(scraper) is body
    await asyncio.sleep(0.45)
    ended = await scrape(scraper)
    assert ended is not body
    assert await scrape(scraper) is ended


@virtual_time
async def test_values_that_are_too_old_leave_a_kept_body() -> None:
    """The body is made again when the first values become too old, though no run ends."""
    script = Script()
    scraper = scraper_of(script, ttl=400)
    await scrape(scraper)
    script.seconds = 3600
    await asyncio.sleep(401)
    await scrape(scraper)
    await asyncio.sleep(600 - 401 - 0.5)
    assert b"grid_scripted{" in await scrape(scraper)
    await asyncio.sleep(0.6)
    assert b"grid_scripted{" not in await scrape(scraper)
    await scraper.cache.stop()


@virtual_time
async def test_gzip_and_plain_hold_the_same() -> None:
    """The compressed body is one gzip member with the plain body in it."""
    scraper = scraper_of(Script(), ttl=60)
    plain = await scrape(scraper)
    packed = await scrape(scraper, compress=True)
    assert gzip.decompress(packed).splitlines()[:3] == plain.splitlines()[:3]


@virtual_time
async def test_the_number_of_kept_bodies_is_bounded() -> None:
    """Who asks for ever new sets of probes costs time, not memory."""
    scripts = [Script(f"p{n}") for n in range(KEPT * 2)]
    scraper = scraper_of(*scripts, ttl=60)
    await scrape(scraper)
    for script in scripts:
        await scrape(scraper, script.name)
    assert len(scraper._kept) == KEPT


@virtual_time
async def test_the_size_of_kept_bodies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large ones are as bad as many small ones; the newest is always kept."""
    scripts = [Script(f"p{n}") for n in range(5)]
    scraper = scraper_of(*scripts, ttl=60)
    await scrape(scraper)
    size = len(await scrape(scraper, "p0"))
    monkeypatch.setattr("exporter.engine.scrape.KEPT_BYTES", size * 2.5)
    for script in scripts:
        await scrape(scraper, script.name)
    assert len(scraper._kept) == 2
    monkeypatch.setattr("exporter.engine.scrape.KEPT_BYTES", 1)
    body = await scrape(scraper, "p0")
    assert len(scraper._kept) == 1
    assert await scrape(scraper, "p0") is body


@virtual_time
async def test_useless_bodies_are_not_kept() -> None:
    """One that is out of date is dropped when the next one is made."""
    scraper = scraper_of(Script("one"), Script("other"), ttl=60)
    await scrape(scraper, "one")
    await asyncio.sleep(RENEWED_EVERY)
    await scrape(scraper, "other")
    assert len(scraper._kept) == 1


@virtual_time
async def test_a_body_is_of_its_probes_not_of_the_words() -> None:
    """However the same probes are asked for, it is the same body."""
    disks = [Script(f"disk:/{name}", kind="disk") for name in "ab"]
    scraper = scraper_of(*disks, Script("host"), ttl=60)
    body = await scrape(scraper, "disk")
    for names in (("disk:/b", "disk:/a"), ("disk:/a", "disk", "disk:/b"), ("disk", "disk")):
        assert await scrape(scraper, *names) is body
    assert await scrape(scraper, "disk", "host") is await scrape(scraper)


@virtual_time
async def test_a_selection_has_only_its_own_probes_health() -> None:
    """collect[] leaves out the other probes' values and their health."""
    scraper = scraper_of(Script("one"), Script("other"))
    body = await scrape(scraper, "one")
    assert b'grid_probe_success{probe="one"}' in body
    assert b'"other"' not in body
