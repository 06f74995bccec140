import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.probe import ProbeError
from exporter.probes.containers import api as api_module
from exporter.probes.containers.api import Api, check_host
from exporter.probes.containers.engine import EngineDown
from tests.probes.container_tool import FIRST, SECOND
from tests.probes.containers.fake_engine import FakeEngine, fake_engine

NOWHERE = Path("/nonexistent")


@pytest.fixture
async def engine(tree: Path) -> AsyncIterator[FakeEngine]:
    """An engine with two containers."""
    async with fake_engine(tree) as running:
        running.put(FIRST)
        running.put(SECOND)
        yield running


@pytest.fixture
async def api(engine: FakeEngine) -> AsyncIterator[Api]:
    """What asks it."""
    asking = Api(engine.host, NOWHERE)
    yield asking
    await asking.close()


async def names(api: Api) -> list[str]:
    containers, error = await api.inspect_all()
    assert not error
    return [it.name for it in containers]


async def test_usual_run_is_one_request_over_one_connection(engine: FakeEngine, api: Api) -> None:
    """The first run inspects every container; while nothing changes the next only list them."""
    assert await names(api) == ["ab", "cd"]
    assert engine.asked() == ["/_ping", "json?al", FIRST[:7], SECOND[:7]]
    for _ in range(3):
        assert await names(api) == ["ab", "cd"]
    assert engine.asked() == ["json?al"] * 3
    assert len(engine.connections) == 1


@pytest.mark.parametrize("status", ["Up 1 second", "Exited (1) 2 seconds ago", "Up 2 hours (unhealthy)"])
async def test_changed_container_is_inspected(engine: FakeEngine, api: Api, status: str) -> None:
    """A start, an exit and another health show in the list: that container alone is inspected."""
    await names(api)
    engine.asked()
    engine.put(SECOND, status, RestartCount=7)
    containers, _ = await api.inspect_all()
    assert engine.asked() == ["json?al", SECOND[:7]]
    assert [it.restarts for it in containers] == [0, 7]


async def test_renamed_and_new_and_removed(engine: FakeEngine, api: Api) -> None:
    """Another name, a new container and one that is gone are seen at once."""
    await names(api)
    engine.asked()
    third = "ef" * 32
    engine.put(FIRST)
    engine.containers[FIRST]["Name"] = "/other"
    engine.put(third)
    del engine.containers[SECOND]
    assert await names(api) == ["other", "ef"]
    assert engine.asked() == ["json?al", FIRST[:7], third[:7]]


async def test_every_container_is_inspected_once_a_minute(
    engine: FakeEngine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the list does not show (a limit that was changed) is known a minute later."""
    await names(api)
    engine.put(FIRST, HostConfig={"Memory": 4096})
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    containers, _ = await api.inspect_all()
    assert [it.memory_limit for it in containers] == [4096, None]


async def test_health_that_is_not_listed(engine: FakeEngine, api: Api) -> None:
    """Where the list has no health, a container with a health check is inspected each time."""
    engine.put(FIRST, State={"Health": {"Status": "starting"}})
    await names(api)
    engine.asked()
    engine.put(FIRST, State={"Health": {"Status": "healthy"}})
    containers, _ = await api.inspect_all()
    assert engine.asked() == ["json?al", FIRST[:7]]
    assert [it.health for it in containers] == ["healthy", None]


async def test_process_that_is_gone(engine: FakeEngine, tmp_path: Path) -> None:
    """A container whose main process has gone was started anew, although it is listed alike."""
    process = tmp_path / "42"
    process.mkdir()
    engine.put(FIRST, State={"Pid": 42})
    api = Api(engine.host, tmp_path)
    await names(api)
    process.rmdir()
    engine.put(FIRST, State={"Pid": 43})
    containers, _ = await api.inspect_all()
    await api.close()
    assert containers[0].pid == 43


@pytest.mark.parametrize(
    ("theirs", "path"), [("1.41", "/v1.41"), ("1.99", "/v1.51"), ("", ""), ("2.0", ""), ("x", "")]
)
async def test_version_is_negotiated(engine: FakeEngine, api: Api, theirs: str, path: str) -> None:
    """The newest version that both know is asked for; without one, the engine's own."""
    engine.version = theirs
    engine.answers[f"{path}/containers/json"] = engine.answers["/containers/json"] = (200, b"[]")
    assert await names(api) == []
    assert engine.requests == ["/_ping", f"{path}/containers/json?all=1"]


async def test_vanished_container(engine: FakeEngine, api: Api) -> None:
    """One that is gone when it is asked for is no error."""
    body = engine.body()
    del engine.containers[SECOND]
    engine.answers["/containers/json"] = (200, body)
    assert await names(api) == ["ab"]


@pytest.mark.parametrize("body", [b"{}", b"", b"nonsense", b'{"Id":"short"}', b"x" * (1024 * 1024 + 1)])
async def test_one_can_not_be_inspected(engine: FakeEngine, api: Api, body: bytes) -> None:
    """One that can't be inspected is an error with its reason; the others are reported."""
    engine.answers[f"/containers/{FIRST}/json"] = (200, body)
    containers, error = await api.inspect_all()
    assert [it.name for it in containers] == ["cd"]
    assert error.startswith("inspect fails for 1 of 2 containers: ")


async def test_redirect_is_not_followed(engine: FakeEngine, api: Api) -> None:
    """What a proxy answers with leads nowhere else."""
    engine.answers["/containers/json"] = (301, b"")
    with pytest.raises(ProbeError, match=r"GET /v1\.41/containers/json with 301: no reason"):
        await api.inspect_all()


async def test_proxy_without_ping(engine: FakeEngine, api: Api) -> None:
    """Where the version can't be asked for, the engine's own is used."""
    engine.version = ""
    engine.answers["/_ping"] = (403, b"no")
    assert await names(api) == ["ab", "cd"]


async def test_engine_fails_for_one(engine: FakeEngine, api: Api) -> None:
    """The engine's own message is the reason."""
    engine.answers[f"/containers/{FIRST}/json"] = (500, b'{"message":"readlink: no such file"}')
    assert "with 500: readlink: no such file" in (await api.inspect_all())[1]


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b"[1]", b'[{"Id":"short"}]', b"[" * 100_000])
async def test_list_that_is_invalid(engine: FakeEngine, api: Api, body: bytes) -> None:
    """A list that is none is an error with a reason."""
    engine.answers["/containers/json"] = (200, body)
    with pytest.raises(ProbeError, match="list of containers is invalid"):
        await api.inspect_all()


async def test_list_without_end(engine: FakeEngine, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read than any host's list has."""
    monkeypatch.setattr(api_module, "LIST_LIMIT", 1024)
    engine.answers["/containers/json"] = (200, b"[" + b" " * 100_000)
    with pytest.raises(ProbeError, match="larger than 1 KiB"):
        await api.inspect_all()
    del engine.answers["/containers/json"]
    assert await names(api) == ["ab", "cd"]


async def test_proxy_that_forbids(engine: FakeEngine, api: Api) -> None:
    """A proxy that lets too little through: its answer, and what to let through."""
    engine.answers["/containers/json"] = (403, b"<html>no</html>")
    with pytest.raises(ProbeError, match=r"GET /v1\.41/containers/json with 403: <html>no") as caught:
        await api.inspect_all()
    assert "/containers/ID/json" in caught.value.hint


async def test_engine_down(tree: Path) -> None:
    """A socket that is not there, and one behind which nothing listens, are an engine that is down."""
    path = tree / "docker.sock"
    api = Api(f"unix://{path}", NOWHERE)
    with pytest.raises(EngineDown, match="No such file"):
        await api.inspect_all()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(EngineDown, match="Connection refused"):
        await api.inspect_all()
    path.unlink()
    async with fake_engine(tree) as engine:
        engine.put(FIRST)
        assert await names(api) == ["ab"]
    with pytest.raises(EngineDown):
        await api.inspect_all()
    await api.close()


async def test_engine_that_restarts(tree: Path) -> None:
    """A kept connection that broke is opened again, and the version negotiated anew where it failed."""
    async with fake_engine(tree) as engine:
        engine.put(FIRST)
        api = Api(engine.host, NOWHERE)
        assert await names(api) == ["ab"]
    async with fake_engine(tree) as engine:
        engine.put(SECOND)
        assert await names(api) == ["cd"]
    await api.close()


async def test_socket_that_may_not_be_opened(
    engine: FakeEngine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint names the group, what it gives away, and the proxy."""

    async def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)
    with pytest.raises(ProbeError, match=r"may not open the engine's socket: .*Permission denied") as caught:
        await api.inspect_all()
    assert "group docker, which makes it root" in caught.value.hint
    assert "probes.containers.host: tcp://" in caught.value.hint


async def test_no_http() -> None:
    """Something else that listens there is an error with a reason."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1") as server:
        api = Api(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", NOWHERE)
        with pytest.raises(ProbeError, match="broke the connection"):
            await api.inspect_all()
        await api.close()


async def test_tcp(engine: FakeEngine) -> None:
    """A proxy's TCP address is asked alike, also after it failed for a container."""
    app = web.Application()
    app.router.add_get("/{path:.*}", engine.respond)
    async with TestServer(app) as server:
        api = Api(f"tcp://127.0.0.1:{server.port}", NOWHERE)
        engine.answers[f"/containers/{FIRST}/json"] = (500, b"")
        assert (await api.inspect_all())[1].startswith("inspect fails for 1 of 2 containers")
        engine.answers.clear()
        assert await names(api) == ["ab", "cd"]
        await api.close()


async def test_cancelled_run_keeps_what_it_inspected(engine: FakeEngine, api: Api) -> None:
    """An engine that is slow for a thousand containers is asked for the rest in the next run."""
    reached = asyncio.Event()
    respond = engine.respond

    async def hang(request: web.Request) -> web.Response:
        if SECOND in request.path:
            reached.set()
            await asyncio.sleep(3600)
        return await respond(request)

    engine.respond = hang  # type: ignore[method-assign]
    app = web.Application()
    app.router.add_get("/{path:.*}", hang)
    async with TestServer(app) as server:
        slow = Api(f"tcp://127.0.0.1:{server.port}", NOWHERE)
        run = asyncio.create_task(slow.inspect_all())
        await reached.wait()
        run.cancel()
        await asyncio.wait({run})
        assert list(slow._known) == [FIRST]
        await slow.close()


@pytest.mark.parametrize(
    "host",
    ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://docker-proxy:2375"],
)
def test_host(host: str) -> None:
    """A socket's path, or a host and a port."""
    check_host(host)


@pytest.mark.parametrize(
    "host",
    ["", "docker", "/var/run/docker.sock", "unix://run/docker.sock", "tcp://a", "http://a:1", "ssh://a"],
)
def test_no_host(host: str) -> None:
    """Everything else is refused."""
    with pytest.raises(ValueError, match="expected unix:///path or tcp://host:port"):
        check_host(host)


def test_error_without_a_message() -> None:
    """Whatever an error's body is, there is a reason of one line."""
    for body in (b"", b"\xff\nx", b"[]", b'{"message":"a\\nb"}', b"\n"):
        assert "\n" not in api_module._error_message(body)
