"""The daemon's life: start, signals, reloads, systemd, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config.load import Plan
from exporter.config.strict_yaml import ConfigError
from exporter.engine.exporter import Exporter
from exporter.system import http_library, orphans
from exporter.system.sd_notify import feed_watchdog, notify, notify_reloading
from exporter.system.threads import import_in_thread

if TYPE_CHECKING:
    from exporter.web.server import Server

log = logging.getLogger(__name__)

Listen = Callable[[], list[socket.socket]]
MakePlan = Callable[[], Awaitable[Plan]]


async def serve(listen: Listen, web_config: Path | None, make_plan: MakePlan) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP has the plan made again.

    The first runs start at once: their tools work while the libraries of HTTP are loaded. It listens once
    both files are read: a port that is taken must not hide a mistake in them.

    Raises:
        ConfigError: the first plan can't be made, or the web-config is invalid.
        ListenError: it can't listen.
    """
    gc.disable()  # until all is loaded: none of it is garbage
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    exporter = Exporter(await make_plan())
    reloads = _Reloads(exporter, make_plan)
    loop.add_signal_handler(signal.SIGHUP, reloads.request)
    exporter.start_runs(awaited=True)  # the others would take processors from what is loaded meanwhile
    try:
        server = await _start_server(exporter, web_config, listen)
        await _work(exporter, server, reloads, stop)
    finally:
        await exporter.cache.stop()
        await orphans.end_all()
    await server.stop()


async def _start_server(exporter: Exporter, web_config: Path | None, listen: Listen) -> Server:
    """Loads what serves, beside the event loop: it takes as long as all the rest of the start."""
    await http_library.load()
    await import_in_thread("exporter.web.app")
    from exporter.web.app import make_app  # noqa: PLC0415 - now it is loaded
    from exporter.web.auth import Auth  # noqa: PLC0415
    from exporter.web.server import Server  # noqa: PLC0415

    auth = Auth(web_config)
    server = Server(make_app(exporter, auth), listen(), auth)
    await server.start()
    return server


async def _work(exporter: Exporter, server: Server, reloads: _Reloads, stop: asyncio.Event) -> None:
    """Announces, reloads and feeds the watchdog until it is to stop."""
    background = [_announce(exporter, server), feed_watchdog(), reloads.run(), server.watch()]
    tasks = [asyncio.create_task(each) for each in background]
    for task in tasks:
        task.add_done_callback(_log_failure)
    await stop.wait()
    notify(STOPPING=1)
    for task in tasks:
        task.cancel()


async def _announce(exporter: Exporter, server: Server) -> None:
    """Announces readiness once the first quick runs have finished, and prints the start-up screen."""
    await exporter.cache.refresh(exporter.cache.runners.values())
    gc.freeze()  # what is loaded now stays: garbage collection need not visit it again and again
    gc.enable()
    notify(READY=1, STATUS=f"serving {exporter.plan.source}")
    from exporter.status.status import welcome  # noqa: PLC0415 - not before the first scrape can be answered

    with contextlib.suppress(OSError):  # a closed terminal, or a full disk
        sys.stdout.write(welcome(exporter, server.url))
        sys.stdout.flush()


def _log_failure(task: asyncio.Task[None]) -> None:
    """Logs a bug in a background task, which nobody awaits."""
    if not task.cancelled() and (error := task.exception()):
        log.error("this is a bug in grid-exporter", exc_info=error)


class _Reloads:
    """Activates a new plan on request, one reload at a time; a bad one changes nothing."""

    def __init__(self, exporter: Exporter, make_plan: MakePlan) -> None:
        self._exporter = exporter
        self._make_plan = make_plan
        self._requested = asyncio.Event()

    def request(self) -> None:
        self._requested.set()

    async def run(self) -> None:
        while await self._requested.wait():
            self._requested.clear()
            notify_reloading()
            try:
                self._exporter.apply(await self._make_plan())
                self._exporter.start_runs()
                log.info("the configuration was read again")
            except ConfigError as error:
                self._exporter.refuse(error)
            notify(READY=1)
