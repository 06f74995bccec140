"""An Ollama over a day: it loads, spills, expires, pins, evicts, dies and comes back."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from exporter.probe import Host, Result
from exporter.probes.llm import probe as llm
from tests.probes.llm import bodies
from tests.probes.llm.bodies import GB
from tests.probes.llm.replay import Replay, as_json, probe, serving
from tests.probes.llm.test_discovery import proc, process, row
from tests.probes.llm.test_kinds import values

Run = Callable[[], Awaitable[Result]]
NEVER = "2319-03-10T00:11:47.000000001Z"


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with serving(Replay(bodies.ollama())) as server:
        yield server


def at(seconds: float) -> str:
    """So long from now, as Ollama writes it."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "123Z")


def holds(replay: Replay, *models: dict[str, object]) -> None:
    """What it has loaded from now on."""
    replay.answers["/api/ps"] = as_json({"models": list(models)})


def counted(got: dict[str, float], model: str = "a:b") -> tuple[float | None, dict[str, float]]:
    """How often the model was seen to load, and to unload by reason, where that is not 0."""
    unloads = {
        name.split('reason="')[1][:-2]: value
        for name, value in got.items()
        if name.startswith("model_unloads") and f'model="{model}"' in name and value
    }
    return got.get(f'model_loads_total{{model="{model}"}}'), unloads


def memory(got: dict[str, float], model: str = "a:b") -> dict[str, float]:
    """The model's memory by where it is."""
    return {
        name.split('location="')[1].partition('"')[0]: value
        for name, value in got.items()
        if name.startswith("model_memory") and f'model="{model}"' in name
    }


def loaded(got: dict[str, float], model: str = "a:b") -> bool:
    return got.get(f'model_state{{model="{model}",state="loaded"}}') == 1


async def test_a_model_loads_and_expires(replay: Replay) -> None:
    """It is there while it is listed; gone after its time it has expired, and its series with it."""
    run = probe(replay.url, "ollama")
    assert counted(values(await run())) == (None, {})
    holds(replay, bodies.loaded("a:b", 6 * GB, 6 * GB, at(300)))
    got = values(await run())
    assert (loaded(got), counted(got)) == (True, (1, {}))
    holds(replay, bodies.loaded("a:b", 6 * GB, 6 * GB, at(-2)))  # busy, or about to stop
    assert counted(values(await run())) == (1, {})
    holds(replay)
    got = values(await run())
    assert (loaded(got), counted(got)) == (False, (1, {"expired": 1}))
    assert not [name for name in got if name.startswith("model_memory")]


async def test_a_day_of_an_ollama(tmp_path: Path) -> None:
    """It loads, spills, expires, is pinned, is evicted, and dies; each step as the next read finds it."""
    host = proc(tmp_path)
    async with serving(Replay(bodies.ollama())) as replay:
        port = int(replay.url.rpartition(":")[2])
        proc(tmp_path, row("0100007F", port, 1))
        run = probe(replay.url, "ollama", host)

        async def step(*models: dict[str, object]) -> dict[str, float]:
            holds(replay, *models)
            got = values(await run())
            assert got["up{}"] == got["ready{}"] == 1
            assert got['models{where="loaded"}'] == len(models)
            assert host.loaded_models == {"s": {model["name"] for model in models}}
            return got

        assert memory(await step()) == {}
        got = await step(bodies.loaded("a:b", 6 * GB, 6 * GB, at(300)))
        assert (memory(got), counted(got)) == ({"gpu": 6 * GB, "host": 0}, (1, {}))
        assert got['model_expires_timestamp_seconds{model="a:b"}'] == pytest.approx(time.time() + 300, abs=60)
        got = await step(bodies.loaded("a:b", 7 * GB, 4 * GB, at(300)))
        assert (memory(got), counted(got)) == ({"gpu": 4 * GB, "host": 3 * GB}, (1, {}))
        got = await step(bodies.loaded("a:b", 7 * GB, 4 * GB, at(-5)))
        assert (loaded(got), counted(got)) == (True, (1, {}))
        got = await step()
        assert (memory(got), counted(got)) == ({}, (1, {"expired": 1}))
        got = await step(bodies.loaded("a:b", 6 * GB, 6 * GB, NEVER))
        assert (got['model_pinned{model="a:b"}'], counted(got)) == (1, (2, {"expired": 1}))
        assert 'model_expires_timestamp_seconds{model="a:b"}' not in got
        got = await step(bodies.loaded("c:d", 6 * GB, 6 * GB, at(300)))
        assert counted(got) == (2, {"expired": 1, "early": 1})
        # It is restarted between two reads: another socket, and nothing is loaded.
        proc(tmp_path, row("0100007F", port, 2))
        assert counted(await step(), "c:d") == (1, {"server_down": 1})
        got = await step(bodies.loaded("c:d", 6 * GB, 6 * GB, at(300)))
        proc(tmp_path, row("0100007F", port, 3))
        got = await step(bodies.loaded("c:d", 6 * GB, 6 * GB, at(300)))
        assert counted(got, "c:d") == (3, {"server_down": 2})
        asked = {line.partition(" ")[::2] for line in replay.asked}
    assert asked == {("GET", path) for path in ("/", "/api/version", "/api/ps", "/api/tags")}
    got = values(await run())
    assert (got["up{}"], loaded(got, "c:d"), counted(got, "c:d")) == (0, False, (3, {"server_down": 3}))
    assert host.loaded_models == {"s": set()}


async def test_a_file_gets_the_name_of_the_only_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks must find one model loaded and one file run alone; a look at two proves nothing."""
    monkeypatch.setattr(llm, "OWNER_EVERY", 0)
    host, blobs = Host(proc=tmp_path), [f"sha256-{digit * 64}" for digit in "ab"]

    def runner(pid: int, blob: str) -> None:
        process(host, pid, "ollama", "/")
        command = f"ollama\0runner\0--model\0/m/blobs/{blob}\0--port\x0041\0"
        (tmp_path / str(pid) / "cmdline").write_text(command)

    async with serving(Replay(bodies.ollama())) as replay:
        run = probe(replay.url, "ollama", host)
        runner(10, blobs[0])
        holds(replay, bodies.loaded("a:b", GB, GB, NEVER))
        await run()
        assert host.model_names == {}
        await run()
        assert host.model_names == {"llm:s": {blobs[0]: ("a:b",)}}
        runner(11, blobs[1])  # which is not listed while it loads
        await run()
        await run()
        holds(replay, bodies.loaded("a:b", GB, GB, NEVER), bodies.loaded("c:d", GB, GB, NEVER))
        await run()
        await run()
    assert host.model_names == {"llm:s": {blobs[0]: ("a:b",)}}


async def test_a_model_that_spills(replay: Replay) -> None:
    """Its memory moves to the host; it is the same model, which neither loaded nor unloaded."""
    run = probe(replay.url, "ollama")
    holds(replay, bodies.loaded("a:b", 6 * GB, 6 * GB, at(300)))
    await run()
    holds(replay, bodies.loaded("a:b", 7 * GB, 4 * GB, at(300)))
    got = values(await run())
    assert got['model_memory_bytes{location="gpu",model="a:b"}'] == 4 * GB
    assert got['model_memory_bytes{location="host",model="a:b"}'] == 3 * GB
    assert counted(got) == (0, {})


async def test_a_model_that_is_pinned_and_vanishes(replay: Replay) -> None:
    """Pinned it has no time to expire; that it goes all the same is early."""
    run = probe(replay.url, "ollama")
    holds(replay, bodies.loaded("a:b", GB, GB, NEVER))
    got = values(await run())
    assert got['model_pinned{model="a:b"}'] == 1
    assert not [name for name in got if name.startswith("model_expires")]
    holds(replay, bodies.loaded("c:d", GB, GB, at(300)))
    got = values(await run())
    assert counted(got) == (0, {"early": 1})
    assert counted(got, "c:d") == (1, {})


async def test_a_model_that_is_evicted(replay: Replay) -> None:
    """Gone before its time, it was evicted, stopped or reloaded."""
    run = probe(replay.url, "ollama")
    holds(replay, bodies.loaded("a:b", GB, GB, at(300)))
    await run()
    holds(replay)
    assert counted(values(await run())) == (0, {"early": 1})


async def test_a_server_that_dies_and_comes_back() -> None:
    """Down is a fact: the models go with it, and count as loaded again when they are back."""
    async with serving(Replay(bodies.ollama(bodies.loaded("a:b", GB, GB, at(300))))) as first:
        run = probe(first.url, "ollama")
        assert values(await run())["up{}"] == 1
    for _ in range(2):
        result = await run()
        got = values(result)
        assert (got["up{}"], got['read_error{reason="refused"}']) == (0, 1)
        assert (loaded(got), counted(got)) == (False, (0, {"server_down": 1}))
        assert "ready{}" not in got
        assert "is down" in result.notes[0].text
    port = int(first.url.rpartition(":")[2])
    async with serving(Replay(first.answers), port):
        got = values(await run())
    assert (got["up{}"], loaded(got), counted(got)) == (1, True, (1, {"server_down": 1}))


async def test_a_read_that_fails_unloads_nothing(replay: Replay) -> None:
    """An error says nothing of the models; the next read goes on from the one before."""
    run = probe(replay.url, "ollama")
    holds(replay, bodies.loaded("a:b", GB, GB, at(300)))
    await run()
    good = replay.answers["/api/ps"]
    replay.answers["/api/ps"] = as_json({"error": "busy"}, 500)
    with pytest.raises(Exception, match="with 500"):
        await run()
    replay.answers["/api/ps"] = good
    assert counted(values(await run())) == (0, {})


async def test_polling_asks_the_same_harmless_paths(replay: Replay) -> None:
    """However often it is polled, nothing but these is asked, one after another."""
    run = probe(replay.url, "ollama")
    for _ in range(5):
        await run()
    once = ["GET /api/version", "GET /", "GET /api/ps", "GET /api/tags"]
    assert replay.asked == once + ["GET /api/version", "GET /api/ps"] * 4
    assert replay.most_parallel == 1
