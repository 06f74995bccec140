"""An answer that is put together once and sent to any number of connections, from one buffer."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import HttpVersion, HttpVersion10, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from exporter.web.protocol import SERVER

PART = 512 * 1024  # bytes that are under way to one client


class Message:
    """A body and its headers, as they go out; the Date is when this was made.

    aiohttp puts the head together for each request and copies head and body into one: that is a third of
    what a request costs, beside which ours has to check who asks.
    """

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.body = body
        self._lines = {
            **headers,
            hdrs.CONTENT_LENGTH: str(len(body)),
            hdrs.DATE: formatdate(usegmt=True),
            hdrs.SERVER: SERVER,
        }
        self._beginnings: dict[tuple[HttpVersion, bool], bytes] = {}

    def beginning(self, version: HttpVersion, *, keep_alive: bool) -> bytes:
        """The head for such a connection and the body's first part."""
        kind = version, keep_alive
        if kind not in self._beginnings:
            self._beginnings[kind] = self.head(version, keep_alive=keep_alive) + self.body[:PART]
        return self._beginnings[kind]

    def head(self, version: HttpVersion, *, keep_alive: bool) -> bytes:
        """The status, which is 200, and the headers."""
        lines = [f"HTTP/{version.major}.{version.minor} 200 OK"]
        lines += [f"{name}: {value}" for name, value in self._lines.items()]
        if keep_alive is (version == HttpVersion10):  # each version's default is the other
            lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
        return "\r\n".join([*lines, "", ""]).encode()


class SharedResponse(web.StreamResponse):
    """The response to one request. A client that takes nothing holds up its own connection alone."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._message = message

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Takes note of who asked; nothing is sent yet."""
        self._request, self._keep_alive = request, request.keep_alive
        return request.writer

    async def write_eof(self, _: bytes = b"") -> None:
        """Sends it, in parts as fast as the client takes them."""
        request, message = self._request, self._message
        writer = request.writer
        if request.method == hdrs.METH_HEAD:
            await writer.write(message.head(request.version, keep_alive=request.keep_alive))
            return
        await writer.write(message.beginning(request.version, keep_alive=request.keep_alive))
        rest = memoryview(message.body)[PART:]
        for start in range(0, len(rest), PART):
            await writer.write(rest[start : start + PART])
        await writer.drain()
