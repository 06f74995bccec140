import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.bench.load import stand_in_line, storm


async def answer(_: web.Request) -> web.Response:
    return web.Response(text="well")


async def fail(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def be_silent(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits so long")


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_routes([web.get("/", answer), web.get("/bad", fail), web.get("/silent", be_silent)])
    running = TestServer(app)
    await running.start_server()
    yield running
    await running.close()


@pytest.mark.real("wrk")
async def test_a_storm_counts_answers_and_failures(server: TestServer) -> None:
    """Good answers have a rate and percentiles; others are failures, however quickly they come."""
    good = await asyncio.to_thread(storm, str(server.make_url("/")), 2, 1, "gzip")
    assert good.rate > 10
    assert 0 < good.p50 <= good.p99 < 10
    assert good.failures == 0
    bad = await asyncio.to_thread(storm, str(server.make_url("/bad")), 2, 1, "gzip")
    assert bad.failures > 10


async def test_who_still_stands_in_line_counts(server: TestServer) -> None:
    """A server that answers nobody isn't left out: its clients waited for as long as was measured."""
    load = await asyncio.to_thread(stand_in_line, str(server.make_url("/silent")), 3, 0.2, "identity")
    assert load.rate == 0
    assert 0.1 < load.p50 <= load.p99  # connecting takes a part of the 0.2 s


async def test_in_line_other_answers_than_good_ones_are_failures(server: TestServer) -> None:
    """As in a storm."""
    load = await asyncio.to_thread(stand_in_line, str(server.make_url("/bad")), 1, 0.2, "identity")
    assert load.failures > 0
