"""A server in this process, and clients that do as they like."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sized
from dataclasses import dataclass
from pathlib import Path

from exporter.web.app import make_app
from exporter.web.auth import Auth
from exporter.web.listeners import listen
from exporter.web.server import Server
from tests.scripted import Script
from tests.web.test_app import exporter_of

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Client:
    """A connection, and what may be done with one."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)

    async def status(self) -> int:
        """The status of the next answer; 0 where the connection is closed instead. Its body is read too."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            await self.reader.readexactly(int(fields.get("content-length", 0)))
            return int(head.split(" ", 2)[1])
        return 0

    async def closed(self) -> None:
        """Waits until the other side has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass


@dataclass
class Crowd:
    """A server and all its clients, which end with it."""

    server: Server
    address: tuple[str, int]
    clients: list[Client]

    async def connect(
        self,
        data: bytes = b"",
        *,
        tls: ssl.SSLContext | None = None,
        local_addr: tuple[str, int] | None = None,
    ) -> Client:
        """A new connection, from an address of its own if need be, and on it these bytes."""
        client = Client(*await asyncio.open_connection(*self.address, ssl=tls, local_addr=local_addr))
        self.clients.append(client)
        client.send(data)
        return client

    async def scrape(self, *, tls: ssl.SSLContext | None = None) -> int:
        """The status of a scrape on a new connection, as Prometheus's first."""
        async with asyncio.timeout(100):
            return await (await self.connect(GET, tls=tls)).status()

    @property
    def answering(self) -> Sized:
        """Those whose request is being handled."""
        return [it for it in self.server._connections._open if it.is_answering]  # type: ignore[union-attr]

    def connected(self) -> int:
        """How many of the clients still have their connection, as far as they know."""
        return sum(not client.reader._eof and not client.reader.exception() for client in self.clients)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def crowd(*scripts: Script, web_config: Path | None = None) -> AsyncIterator[Crowd]:
    """Starts a server with these probes; at its end everything is closed."""
    auth = Auth(web_config)
    listeners = listen(["127.0.0.1:0"])
    server = Server(make_app(exporter_of(*scripts), auth), listeners, auth)
    await server.start()
    running = Crowd(server, listeners[0].getsockname(), [])
    try:
        yield running
    finally:
        await server.stop()
        for client in running.clients:
            client.writer.transport.abort()
        await asyncio.sleep(0)
