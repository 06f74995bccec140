"""The daemon's life: listening, signals, reloads, systemd, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

from exporter.config import ConfigError, Plan
from exporter.core import Exporter
from exporter.notify import feed_watchdog, notify, notify_reloading
from exporter.report import welcome
from exporter.web import make_app

log = logging.getLogger(__name__)

BACKLOG = 1024
HEAD_SECONDS = 20.0  # that a client may take for a request's head, and that an idle connection lives


class StartError(Exception):
    """The daemon can't start. Its text says why, and what to do."""


def listen(address: str) -> list[socket.socket]:
    """Sockets listening on ``host:port``, ``[ipv6]:port`` or ``:port`` (every address).

    Raises:
        StartError: it is no address, is taken, or may not be had.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise StartError(f"--web.listen-address: expected host:port such as 127.0.0.1:10058, got {address!r}")
    try:
        places = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return [_listen_at(family, place) for family, _, _, _, place in dict.fromkeys(places)]
    except OSError as error:
        why = error.strerror or str(error)
        hint = "; is another exporter running? (ss -ltnp)" if error.errno == errno.EADDRINUSE else ""
        raise StartError(f"can't listen on {address}: {why}{hint}") from error


def _listen_at(family: int, place: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def serve(listeners: list[socket.socket], make_plan: Callable[[], Awaitable[Plan]]) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP has the plan made again.

    Raises:
        ConfigError: the first plan can't be made.
    """
    exporter = Exporter(await make_plan())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloads = _Reloads(exporter, make_plan)
    loop.add_signal_handler(signal.SIGHUP, reloads.ask)

    site = web.AppRunner(
        make_app(exporter), access_log=None, keepalive_timeout=HEAD_SECONDS, shutdown_timeout=1.0
    )
    await site.setup()
    for listener in listeners:
        await loop.create_server(_protocol(site), sock=listener)
    exporter.start_runs()
    helpers = [
        asyncio.create_task(work) for work in (_announce(exporter, listeners), feed_watchdog(), reloads.run())
    ]

    await stop.wait()
    notify(STOPPING=1)
    for helper in helpers:
        helper.cancel()
    await exporter.cache.stop()
    await site.cleanup()


def _protocol(site: web.AppRunner) -> web.Server:
    if site.server is None:
        raise RuntimeError("the application is not set up")
    return site.server


async def _announce(exporter: Exporter, listeners: list[socket.socket]) -> None:
    """Says that the exporter is ready once its first quick runs have ended, and what it found."""
    await exporter.cache.refresh(exporter.cache.runners.values())
    gc.freeze()  # what is loaded now stays: collecting it again and again would only hold up scrapes
    host, port = listeners[0].getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    sys.stdout.write(welcome(exporter, f"http://{address}"))
    sys.stdout.flush()
    notify(READY=1, STATUS=f"serving {exporter.plan.source}")


class _Reloads:
    """Takes a new plan into force when asked, one reload at a time; a bad one changes nothing."""

    def __init__(self, exporter: Exporter, make_plan: Callable[[], Awaitable[Plan]]) -> None:
        self._exporter = exporter
        self._make_plan = make_plan
        self._asked = asyncio.Event()

    def ask(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        while await self._asked.wait():
            self._asked.clear()
            notify_reloading()
            try:
                self._exporter.apply(await self._make_plan())
                self._exporter.start_runs()
                log.info("the configuration was read again")
            except ConfigError as error:
                self._exporter.refuse(error)
            notify(READY=1)
