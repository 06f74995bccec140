"""A server that answers from a table and records what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from exporter.probe import Host, Result
from exporter.probes.llm.probe import build
from exporter.probes.llm.settings import Server, Settings

NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class Answer:
    """A status, headers and a body."""

    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Replay:
    """The answers by path and query, or by path alone; anything else is a 404. asked: what came, in order."""

    answers: dict[str, Answer]
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    parallel: int = 0
    most_parallel: int = 0
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request, and records it."""
        self.asked.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        self.parallel += 1
        self.most_parallel = max(self.most_parallel, self.parallel)
        try:
            missing = Answer("404 page not found", 404)
            answer = self.answers.get(request.raw_path) or self.answers.get(request.path, missing)
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            await asyncio.sleep(0)
            return web.Response(body=body, status=answer.status, headers=answer.headers)
        finally:
            self.parallel -= 1


@contextlib.asynccontextmanager
async def serving(replay: Replay, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Replay]:
    """The server on a port of loopback."""
    server = web.Server(replay.handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    replay.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield replay
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw(data: bytes, *, endless: bytes = b"", hold: bool = False) -> AsyncIterator[str]:
    """The URL of a server that writes these bytes to whoever asks, then repeats some, or is silent."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            while endless:
                writer.write(endless)
                await writer.drain()
            if hold:
                await reader.read()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def as_json(value: object, status: int = 200, headers: Mapping[str, str] = NOTHING) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(value), status, {"Content-Type": "application/json", **headers})


async def collect(url: str, kind: str | None = None, host: Host | None = None, **server: Any) -> Result:
    """One run of a new probe on that server, which is named ``s``."""
    return await probe(url, kind, host, **server)()


def probe(
    url: str, kind: str | None = None, host: Host | None = None, **server: Any
) -> Callable[[], Awaitable[Result]]:
    """The runs of a probe on that server."""
    settings = Settings(servers=(Server(name="s", url=url, kind=kind, **server),))  # type: ignore[arg-type]
    (built,) = build(settings, host or Host())
    return built.run
