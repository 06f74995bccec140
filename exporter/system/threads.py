"""Work that would hold up the event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar, TypeVarTuple

from exporter.probe import ProbeError

LARGE = 64 * 1024  # bytes or characters; to read so many takes some milliseconds

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


async def run_in_thread(function: Callable[[*_Args], _T], *args: *_Args) -> _T:
    """What ``function`` returns or raises.

    Nothing can end a thread. So when this is cancelled it waits, for as long as it takes, until its thread is
    gone: one that hangs in reading a file must keep its probe's next run away, as a process does that can't
    be killed. A second cancellation abandons it. asyncio's own threads are few, shared by all, and an exit
    waits for them; here one that hangs costs the others nothing, and no exit waits for it.

    Raises:
        ProbeError: the system lets the exporter have no more threads.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            result = function(*args)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is waited for
            report(outcome.set_exception, error)
        else:
            report(outcome.set_result, result)

    def report(settle: Callable[..., None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: this was abandoned
            loop.call_soon_threadsafe(settle, value)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError as error:
        raise ProbeError(str(error), "let the exporter have more: TasksMax= in its unit") from error
    try:
        await asyncio.wait({outcome})
    except asyncio.CancelledError:
        await asyncio.wait({outcome})
        outcome.exception()  # nobody asks for it any more
        raise
    return outcome.result()


_imported: set[str] = set()


async def import_in_thread(name: str, importer: Callable[[str], object] = import_module) -> None:
    """Imports a module that takes long to load; an import in the event loop would hold it up meanwhile.

    Raises:
        ProbeError: as ``run_in_thread``.
    """
    if name not in _imported:
        await run_in_thread(importer, name)
        _imported.add(name)


class TimedThread:
    """Runs functions in a thread, each within a time limit, and no new one while one before still hangs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: asyncio.Task[object] | None = None

    async def run(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """What ``function`` returns or raises.

        Raises:
            TimeoutError: it takes longer, or one before has still not ended.
            ProbeError: as ``run_in_thread``.
        """
        await self._wait()
        self._running = running = asyncio.create_task(run_in_thread(function, *args))
        await self._wait()
        return running.result()

    async def _wait(self) -> None:
        if self._running is None or self._running.get_loop() is not asyncio.get_running_loop():
            return
        try:
            await asyncio.wait({self._running}, timeout=self._seconds)
        finally:
            if not self._running.cancelling():  # a second time would abandon its thread
                self._running.cancel()
        if not self._running.done():
            raise TimeoutError


async def run_in_thread_if_large(length: int, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
    """What ``function`` makes of so much text; in a thread only where that is large: a thread has its price.

    Raises:
        ProbeError: as ``run_in_thread``.
    """
    return await run_in_thread(function, *args) if length > LARGE else function(*args)
