"""HTTP on one connection: aiohttp's, with our headers and limits on what it answers and reads by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web, web_protocol, web_response
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD

SERVER = "grid-exporter"
MOST_HEADERS = 64  # of a request, each of at most 8 KB
HEAD_LIMIT = 64 * 1024  # bytes of all of them together, give or take a piece
PIECE = 16 * 1024  # bytes that are read and parsed at once
MOST_WAITING = 2  # requests that are read ahead; with one, each request would stop and start the reading

# aiohttp has no switch for these: it sends every stranger its version, and reads 32 requests ahead.
web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
web_protocol.MAX_MSG_QUEUE_SIZE = MOST_WAITING


class BoundedParser:
    """aiohttp's parser, which limits each header but not the whole head.

    It gets what came in pieces, and none behind a request until there is room for the next one.
    """

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self.message_consumed = parser.message_consumed  # looked up for each request
        self._waiting = b""
        self._head = 0  # bytes since the last request
        self._payload: Any = EMPTY_PAYLOAD

    def __getattr__(self, name: str) -> Any:
        """Everything else is the parser's own."""
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """The next request, if it is whole; whether the protocol is to be another; and what follows then.

        Raises:
            BadHttpMessage: its head is too large.
            HttpProcessingError: it is no HTTP.
        """
        if not self._waiting and len(data) <= PIECE:  # as nearly always
            return self._feed(data)
        self._waiting += data
        while True:
            piece, self._waiting = self._waiting[:PIECE], self._waiting[PIECE:]
            messages, upgraded, rest = self._feed(piece)
            if upgraded:
                rest, self._waiting = rest + self._waiting, b""
            if messages or upgraded or not self._waiting:
                return messages, upgraded, rest

    def _feed(self, piece: bytes) -> tuple[Sequence[Any], bool, bytes]:
        if self._payload.is_eof():
            self._head += len(piece)
        messages, upgraded, rest = self._parser.feed_data(piece)
        if messages:
            self._head, self._payload = 0, messages[-1][1]
        if self._head > HEAD_LIMIT:
            self._waiting = b""
            raise BadHttpMessage(f"the head is larger than {HEAD_LIMIT // 1024} KiB")
        return messages, upgraded, rest


class Protocol(web.RequestHandler):
    """One connection.

    server: hands out requests. headers: gives those that every answer has.
    """

    __slots__ = ("_headers",)

    def __init__(self, server: web.Server, headers: Callable[[], Mapping[str, str]], **settings: Any) -> None:
        super().__init__(server, max_headers=MOST_HEADERS, **settings)
        self._headers = headers
        self._parser = BoundedParser(self._parser)  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to read, a piece at a time: asyncio has 256 KB mapped, and unmapped, for each request."""
        if hasattr(transport, "max_size"):  # TLS has a buffer of its own, for good
            transport.max_size = PIECE
        super().connection_made(transport)

    @property
    def is_answering(self) -> bool:
        """Whether a request is being handled; sending what came of it is not part of that."""
        return self._current_request is not None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered to a request that the parser refuses, or whose handler failed."""
        response = super().handle_error(request, status, exc, message)
        for name, value in self._headers().items():
            response.headers.setdefault(name, value)
        return response
