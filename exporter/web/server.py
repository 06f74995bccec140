"""Where the exporter listens, and its life on the web."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.probe import ProbeError
from exporter.web.auth import Auth
from exporter.web.connections import Connections
from exporter.web.host_check import check_host
from exporter.web.listeners import is_loopback
from exporter.web.protocol import Protocol

log = logging.getLogger(__name__)

HEAD_SECONDS = 20.0  # that a request's head may take, and that an idle connection is kept
REFRESH_SECONDS = 2.0  # between checks for a changed web-config


def raise_descriptor_limit() -> None:
    """Allows as many open files as the hard limit does: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """Serves an application on sockets that are already listening."""

    def __init__(self, app: web.Application, listeners: list[socket.socket], auth: Auth) -> None:
        self._listeners = listeners
        self._auth = auth
        self._is_local = all(is_loopback(listener) for listener in listeners)
        if self._is_local:
            app.middlewares.insert(0, check_host)
        # Who has gone away waits for nothing: neither for a run nor, among those who guess, for bcrypt.
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
        self._connections: Connections | None = None

    @property
    def url(self) -> str:
        """Where a person on this machine finds it."""
        listener = self._listeners[0]
        if listener.family == socket.AF_UNIX:
            return f"unix:{listener.getsockname()}"
        host, port = listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        scheme = "https" if self._auth.rules.context else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def start(self) -> None:
        """Begins to answer."""
        raise_descriptor_limit()
        logging.getLogger("aiohttp.server").addFilter(_should_be_logged)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the application is not set up")
        settings: dict[str, Any] = {"access_log": None, "keepalive_timeout": HEAD_SECONDS}
        self._connections = Connections(
            lambda: Protocol(server, lambda: self._auth.headers, loop=asyncio.get_running_loop(), **settings),
            lambda: self._auth.rules.context,
        )
        self._connections.accept_from(self._listeners)
        if not self._is_local and not self._auth.protects:
            log.warning("everybody who reaches this address may read everything: see --web.config.file")

    async def watch(self) -> None:
        """Activates a changed web-config; where its TLS is another, every connection is made anew.

        An unforeseen error is logged and the next check comes: a bug must not end the reloading unseen.
        """
        logged = ""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                context = self._auth.rules.context
                await self._auth.refresh_in_time()
                if self._connections is not None and self._auth.rules.context is not context:
                    self._connections.renew()
            except ProbeError:
                continue  # no thread can be had just now
            except Exception as error:
                if repr(error) != logged:
                    log.exception("this is a bug in grid-exporter: the web configuration was not checked")
                logged = repr(error)

    async def stop(self) -> None:
        """Stops listening and ends the connections."""
        if self._connections is not None:
            self._connections.stop()
        await self._runner.cleanup()


def _should_be_logged(record: logging.LogRecord) -> bool:
    """Not a request that makes no sense: whoever sends those could fill the log, and with what they like."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)
