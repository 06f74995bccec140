import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from exporter.web import connections, listeners, server
from tests.crowd import GET, Client, Crowd, crowd
from tests.scripted import Script, held
from tests.web.certificates import Certificates

MOST = 8


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", MOST)


def secured(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A web-config with TLS, and the context of a client that trusts it."""
    certificates = Certificates(tmp_path)
    (tmp_path / "web.yml").write_text(certificates.server())
    return tmp_path / "web.yml", certificates.client_context()


@pytest.mark.parametrize(
    "begun", [b"", b"GET /metr", GET[:-2], b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]
)
async def test_a_crowd_shuts_nobody_out(begun: bytes) -> None:
    """Whether idle or half way through a request: the oldest make room, and a scrape is answered."""
    async with crowd(Script()) as visitors:
        for _ in range(5 * MOST):
            await visitors.connect(begun)
        assert await visitors.scrape() == 200
        assert visitors.connected() <= MOST
        assert visitors.clients[-1].writer.transport.is_closing() is False


async def test_some_are_let_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of many that come together need not wait until all before have been answered, again and again.

    But a crowd without end leaves room for those who are in.
    """
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 64)
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        let_in = visitors.server._connections._open  # type: ignore[union-attr]
        with contextlib.ExitStack() as stack:
            for _ in range(20):  # before the loop comes to any of them
                stack.enter_context(socket.create_connection(visitors.address))
            while not let_in:
                await asyncio.sleep(0)
            assert len(let_in) == 16
            while sum(handler.transport is not None for handler in let_in) < 20:
                await asyncio.sleep(0)


async def test_the_newest_keep_their_places() -> None:
    """It is the oldest that makes room: who came last can still ask."""
    async with crowd(Script()) as visitors:
        clients = [await visitors.connect() for _ in range(2 * MOST)]
        await clients[0].closed()
        clients[-1].send(GET)
        assert await clients[-1].status() == 200


async def test_who_is_being_answered_is_not_dropped() -> None:
    """A scrape that waits for a run is older than the crowd that comes meanwhile, and is answered."""
    release = asyncio.Event()
    async with crowd(held(release)) as visitors, asyncio.timeout(100):
        waiting = await visitors.connect(GET)
        while not visitors.answering:
            await asyncio.sleep(0)
        idle = [await visitors.connect() for _ in range(3 * MOST)]
        await idle[0].closed()
        release.set()
        assert await waiting.status() == 200


async def test_where_all_are_being_answered_the_oldest_makes_room() -> None:
    """Requests that take long must not be a way to shut others out."""
    async with crowd(Script(seconds=30)) as visitors, asyncio.timeout(100):
        waiting = [await visitors.connect(GET) for _ in range(3 * MOST)]
        await waiting[0].closed()
        healthy = await visitors.connect(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await healthy.status() == 200


async def test_a_half_open_tls_connection_counts_too(tmp_path: Path) -> None:
    """Each costs half a megabyte: those who never agree on TLS make room as well."""
    web_config, tls = secured(tmp_path)
    async with crowd(Script(), web_config=web_config) as visitors, asyncio.timeout(100):
        mute = [await visitors.connect() for _ in range(3 * MOST)]
        await mute[0].closed()
        assert await visitors.scrape(tls=tls) == 200
        assert visitors.connected() <= MOST


async def test_who_speaks_no_tls_is_dropped_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain HTTP, rubbish and a handshake broken off neither disturb others nor fill the log."""
    web_config, tls = secured(tmp_path)
    async with crowd(Script(), web_config=web_config) as visitors, asyncio.timeout(100):
        for data in (GET, b"\0" * 1000, b"\x16\x03\x01\x00\x64" + b"x" * 100):
            await (await visitors.connect(data)).closed()
        (await visitors.connect()).writer.transport.abort()
        assert await visitors.scrape(tls=tls) == 200
    assert not caplog.records


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "CONNECT", "PATCH"])
async def test_plain_http_on_a_tls_port_gets_a_400(tmp_path: Path, method: str) -> None:
    """In words that a person or curl understands."""
    async with crowd(Script(), web_config=secured(tmp_path)[0]) as visitors, asyncio.timeout(100):
        client = await visitors.connect(f"{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await client.reader.read()
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\nThis is an HTTPS port: ask for https://.\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("name", "alert"), [(None, "REQUIRED|HANDSHAKE_FAILURE"), ("stranger", "UNKNOWN_CA")]
)
async def test_a_refused_certificate_gets_its_alert(
    tmp_path: Path, version: ssl.TLSVersion, name: str | None, alert: str
) -> None:
    """The client learns why it is refused, instead of that the connection was closed."""
    certificates = Certificates(tmp_path)
    (tmp_path / "web.yml").write_text(certificates.server(clients=True))
    context = certificates.client_context(name)
    context.maximum_version = version
    async with crowd(Script(), web_config=tmp_path / "web.yml") as visitors, asyncio.timeout(100):
        with pytest.raises(ssl.SSLError, match=alert):
            await (await visitors.connect(GET, tls=context)).reader.read()


async def test_a_version_that_is_refused_gets_its_alert(tmp_path: Path) -> None:
    """So does a client that is too old."""
    certificates = Certificates(tmp_path)
    (tmp_path / "web.yml").write_text(certificates.server(more=", min_version: TLS13"))
    context = certificates.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with crowd(Script(), web_config=tmp_path / "web.yml") as visitors, asyncio.timeout(100):
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await visitors.connect(GET, tls=context)


async def test_a_handshake_has_little_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not agree on TLS soon is dropped, with nobody else about."""
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 0.2)
    async with crowd(Script(), web_config=secured(tmp_path)[0]) as visitors, asyncio.timeout(100):
        await (await visitors.connect()).closed()


async def test_a_head_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte does not start the time anew."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        slow = await visitors.connect(b"GET /metrics HTTP/1.1\r\nX: ")
        dropped = asyncio.create_task(slow.closed())
        while not dropped.done():
            slow.send(b"x")
            await asyncio.sleep(0.05)


async def test_who_never_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes does not lie in the memory for ever."""
    monkeypatch.setattr(listeners, "UNREAD_SECONDS", 0.5)
    async with crowd(Script("x" * 200)) as visitors, asyncio.timeout(100):
        greedy = await visitors.connect()
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not _dropped(visitors.server):
            greedy.send(GET * 10)
            await asyncio.sleep(0.02)


async def test_who_does_not_read_makes_room_first() -> None:
    """Before any who is idle: what lies unread costs memory."""
    async with crowd(Script("x" * 200)) as visitors, asyncio.timeout(100):
        idle = await visitors.connect()
        greedy = await visitors.connect()
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        handler = await _until_unread(greedy, visitors)
        assert visitors.server._connections is not None
        assert visitors.server._connections._pick_eviction() is handler
        idle.send(GET)
        assert await idle.status() == 200


async def _until_unread(greedy: Client, visitors: Crowd) -> web.RequestHandler:
    """Sends more and more requests, until an answer is not read."""
    assert visitors.server._runner.server is not None
    while True:
        for handler in visitors.server._runner.server.connections:
            if handler.writing_paused:
                return handler
        greedy.send(GET * 10)
        await asyncio.sleep(0.01)


def _dropped(running: server.Server) -> bool:
    assert running._runner.server is not None
    return not running._runner.server.connections


async def test_who_goes_away_waits_for_nothing() -> None:
    """The request of a client that hung up ends at once, although the run that it waited for goes on."""
    script = Script(seconds=30)
    async with crowd(script) as visitors, asyncio.timeout(100):
        client: Client = await visitors.connect(GET)
        while not visitors.answering:
            await asyncio.sleep(0)
        client.writer.transport.abort()
        while visitors.answering:
            await asyncio.sleep(0)
        assert script.under_way == 1


async def test_the_end_waits_for_nobody(tmp_path: Path) -> None:
    """Idle, half-open and waiting clients do not hold the exporter up when it stops."""
    web_config, tls = secured(tmp_path)
    async with asyncio.timeout(100):
        async with crowd(Script(seconds=30), web_config=web_config) as visitors:
            clients = [
                await visitors.connect(),
                await visitors.connect(tls=tls),
                await visitors.connect(GET, tls=tls),
            ]
            await asyncio.sleep(0)
        for client in clients:
            await client.closed()
