import asyncio

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from tests.scripted import Script


async def test_only_what_scrapes_wait_for_is_started_at_first() -> None:
    """What is slow anyway takes no processor from the exporter's own start; a scrape starts it too."""
    quick, slow = Script("quick"), Script("slow")
    exporter = Exporter(Plan({}, (quick.probe(wait=5), slow.probe(wait=0)), {}, "a test"))
    exporter.start_runs(awaited=True)
    await exporter.cache.refresh([exporter.cache.runners["quick"]])
    assert (quick.runs, slow.runs) == (1, 0)
    assert not exporter.ready()
    exporter.start_runs()
    await asyncio.sleep(0)
    assert (quick.runs, slow.runs) == (1, 1)
    assert exporter.ready()
    await exporter.cache.stop()
