"""HTTP on one connection: aiohttp's, with our headers and limits on what it answers and reads by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web, web_protocol, web_response

MOST_HEADERS = 64  # of a request, each of at most 8 KB
MOST_WAITING = 1  # request that is read while the one before it is being answered

# aiohttp has no switch for these: it sends every stranger its version, and reads 32 requests ahead.
web_response.SERVER_SOFTWARE = "grid-exporter"  # type: ignore[attr-defined]
web_protocol.MAX_MSG_QUEUE_SIZE = MOST_WAITING


class Protocol(web.RequestHandler):
    """One connection.

    server: hands out requests. headers: gives those that every answer has.
    """

    __slots__ = ("_headers",)

    def __init__(self, server: web.Server, headers: Callable[[], Mapping[str, str]], **settings: Any) -> None:
        super().__init__(server, max_headers=MOST_HEADERS, **settings)
        self._headers = headers

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
