"""A probe's work that would hold up the event loop, in a thread of its own."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from exporter.probe import ProbeError

LONG = 64 * 1024  # bytes or characters; to read so many takes some milliseconds

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


async def in_thread(work: Callable[[*_Args], _T], *args: *_Args) -> _T:
    """What ``work`` returns or raises.

    Nothing can end a thread. So when this is cancelled it waits, for as long as it takes, until its thread is
    gone: one that hangs in reading a file must keep its probe's next run away, as a process does that can't
    be killed. A second cancellation abandons it. asyncio's own threads are few, shared by all, and an exit
    waits for them; here one that hangs takes nothing from the others, and no exit waits for it.

    Raises:
        ProbeError: the system lets the exporter have no more threads.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            result = work(*args)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is waited for
            tell(outcome.set_exception, error)
        else:
            tell(outcome.set_result, result)

    def tell(settle: Callable[..., None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: this was abandoned
            loop.call_soon_threadsafe(settle, value)

    try:
        _thread.start_new_thread(run, ())  # threading's own waits until it runs, and the loop with it
    except RuntimeError as error:
        raise ProbeError(str(error), "let the exporter have more: TasksMax= in its unit") from error
    try:
        await asyncio.wait({outcome})
    except asyncio.CancelledError:
        await asyncio.wait({outcome})
        outcome.exception()  # nobody asks for it any more
        raise
    return outcome.result()


async def aside(length: int, work: Callable[[*_Args], _T], *args: *_Args) -> _T:
    """What ``work`` makes of so much text; in a thread only where that is long, since a thread has its price.

    Raises:
        ProbeError: as ``in_thread``.
    """
    return await in_thread(work, *args) if length > LONG else work(*args)
