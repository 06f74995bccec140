import asyncio
import gzip
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.probes.aide import Settings as Aide
from exporter.web.app import TIMEOUT_HEADER, make_app, max_wait, takes_gzip
from tests.scripted import Script, failing

Connect = Callable[[web.Application], Awaitable["TestClient[web.Request, web.Application]"]]


def exporter_of(*scripts: Script) -> Exporter:
    return Exporter(Plan({"scripted": None}, tuple(script.probe() for script in scripts), {}, "a test"))


async def test_metrics_are_prometheus_text(aiohttp_client: Connect) -> None:
    """A scrape is valid text with the probe's metrics and the exporter's own."""
    client = await aiohttp_client(make_app(exporter_of(Script())))
    answer = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(await answer.text())}
    assert {"grid_scripted", "grid_probe_success", "grid_exporter_build_info"} <= names
    assert "process_resident_memory_bytes" in names


async def test_metrics_come_gzipped_to_who_takes_that(aiohttp_client: Connect) -> None:
    """Prometheus asks for gzip; what it gets unpacks to the same families."""
    client = await aiohttp_client(make_app(exporter_of(Script())))
    answer = await client.get("/metrics", headers={"Accept-Encoding": "gzip"}, auto_decompress=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert b"grid_scripted" in gzip.decompress(await answer.read())


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False), ("gzip; q=0.0", False),
     ("identity", False), ("", False), ("xgzip", False)],
)  # fmt: skip
def test_accept_encoding_is_read_as_meant(accepted: str, takes: bool) -> None:  # noqa: FBT001
    """It is taken where it is allowed, not where it is merely named."""
    assert takes_gzip(accepted) is takes


async def test_an_unknown_probe_is_a_clear_error(aiohttp_client: Connect) -> None:
    """collect[] of something that isn't there is refused by name, as node_exporter does."""
    client = await aiohttp_client(make_app(exporter_of(Script("here"))))
    answer = await client.get("/metrics?collect[]=here&collect[]=gone")
    assert answer.status == 400
    assert await answer.text() == "collect[]: there is no probe 'gone' here\n"


async def test_prometheus_timeout_bounds_the_answer(aiohttp_client: Connect) -> None:
    """A scrape that may take 0.6 s is answered before that, although the probe takes 3 s."""
    client = await aiohttp_client(make_app(exporter_of(Script(seconds=3))))
    async with asyncio.timeout(2.5):
        answer = await client.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.6"})
    assert answer.status == 200
    assert "grid_scripted{" not in await answer.text()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, math.inf),
        ({TIMEOUT_HEADER: "10"}, 9.5),
        ({TIMEOUT_HEADER: "0.2"}, 0),
        ({TIMEOUT_HEADER: "nan"}, math.inf),
    ],
)
def test_half_a_second_is_left_for_the_way_back(headers: dict[str, str], seconds: float) -> None:
    """An answer that leaves at the last moment would come too late; who sends no timeout has time."""
    assert max_wait(make_mocked_request("GET", "/metrics", headers=headers)) == seconds


@pytest.mark.parametrize("seconds", ["nan", "soon", "-5", "1e999"])
async def test_a_senseless_timeout_does_no_harm(aiohttp_client: Connect, seconds: str) -> None:
    """A header that is no time leaves the scrape complete or early, never an error."""
    client = await aiohttp_client(make_app(exporter_of(Script())))
    answer = await client.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": seconds})
    assert answer.status == 200


async def test_a_failing_probe_does_not_fail_the_scrape(aiohttp_client: Connect) -> None:
    """The scrape is complete but for the broken probe, which is reported."""
    client = await aiohttp_client(make_app(exporter_of(Script("bad", error=failing()), Script("good"))))
    text = await (await client.get("/metrics")).text()
    assert 'grid_probe_success{probe="bad"} 0.0' in text
    assert 'grid_scripted{probe="good"} 1.0' in text


async def test_ready_waits_for_the_first_runs(aiohttp_client: Connect) -> None:
    """Ready means that a scrape now holds the quick probes' metrics; healthy only that it serves."""
    script = Script(seconds=0.2)
    exporter = exporter_of(script)
    client = await aiohttp_client(make_app(exporter))
    assert (await client.get("/-/ready")).status == 503
    assert (await client.get("/-/healthy")).status == 200
    exporter.start_runs()
    assert (await client.get("/-/ready")).status == 503
    await exporter.cache.refresh(exporter.cache.select([]))
    assert (await client.get("/-/ready")).status == 200


async def test_only_reading_is_allowed(aiohttp_client: Connect) -> None:
    """POST, PUT and DELETE are refused, HEAD and GET are not, and what isn't there isn't there."""
    client = await aiohttp_client(make_app(exporter_of(Script())))
    for method in ("POST", "PUT", "DELETE"):
        assert (await client.request(method, "/metrics")).status == 405
    assert (await client.head("/metrics")).status == 200
    assert (await client.get("/nothing")).status == 404


def watching_aide(token_file: Path | None) -> Plan:
    """A plan with AIDE in it, and its action where there is a token."""
    return Plan({"aide": Aide(action_token_file=str(token_file) if token_file else None)}, (), {}, "a test")


async def test_the_aide_action_is_there_where_it_is_switched_on(
    aiohttp_client: Connect, tmp_path: Path
) -> None:
    """Without an active token file its paths do not exist; a reload switches it on and off."""
    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef" * 4)
    token_file.chmod(0o640)
    exporter = exporter_of()
    client = await aiohttp_client(make_app(exporter))
    for plan, status in (
        (exporter.plan, 404),
        (watching_aide(None), 404),
        (watching_aide(token_file), 401),
        (watching_aide(None), 404),
    ):
        exporter.apply(plan)
        assert (await client.get("/-/aide/report")).status == status
        assert (await client.post("/-/aide/accept", json={"id": "0" * 64})).status == status


async def test_a_reload_forgets_no_tries(aiohttp_client: Connect, tmp_path: Path) -> None:
    """Whoever guesses tokens has no more tries for a reload that leaves the action as it was."""
    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef" * 4)
    token_file.chmod(0o640)
    exporter = exporter_of()
    client = await aiohttp_client(make_app(exporter))
    answers = []
    for _ in range(30):
        exporter.apply(watching_aide(token_file))
        wrong = {"Authorization": f"Bearer {'f' * 64}"}
        answers.append((await client.get("/-/aide/report", headers=wrong)).status)
    assert answers[0] == 403
    assert answers[-1] == 429
