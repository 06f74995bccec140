"""What can be wrong with a tool, and how it shows.

A fault is one line: its kind, and what that kind needs.

    hang               never answers
    deaf               never answers, and ignores SIGTERM
    slow SECONDS       answers late
    exit STATUS        answers well, but with this exit status
    print STATUS TEXT  prints this text in place of its answer (a driver that fails)
    error STATUS TEXT  prints this text on standard error, and nothing else
    warn TEXT          answers well, with this text on standard error
    empty              answers nothing
    truncate           stops in the middle of its answer
    garbage            answers bytes that are no text
    flood              never stops answering
    fork               answers well, and leaves a child behind that holds its pipes and ignores SIGTERM
    daemon             answers well, and leaves a daemon behind: in a session of its own, without its pipes
    bomb               answers what costs most to read: a million digits, and as many brackets
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable

Answer = tuple[int, str, str]
FOR_EVER = 900  # seconds; what a broken test leaves behind ends in the end
CHUNK = 64 * 1024


def suffer(fault: str, run: Callable[[], Answer]) -> int:
    """Does what the tool does, with a fault; returns the exit status.

    Raises:
        LookupError: there is no such fault.
    """
    kind, _, rest = fault.strip().partition(" ")
    if kind in BEFORE:
        BEFORE[kind](rest)
    return _print(*CHANGED[kind](rest, run) if kind in CHANGED else run())


def known(fault: str) -> bool:
    """Whether there is such a fault."""
    return fault.partition(" ")[0] in {*BEFORE, *CHANGED}


def _deaf(_: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(FOR_EVER)


def _fork(_: str) -> None:
    if os.fork() == 0:
        _deaf("")
        os._exit(0)


def _daemon(_: str) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 3)
            _deaf("")
        os._exit(0)
    os.wait()


def _flood(_: str) -> None:
    while True:
        sys.stdout.write("flood" * CHUNK)


BEFORE: dict[str, Callable[[str], None]] = {
    "hang": lambda _: time.sleep(FOR_EVER),
    "deaf": _deaf,
    "slow": lambda seconds: time.sleep(float(seconds)),
    "fork": _fork,
    "daemon": _daemon,
    "flood": _flood,
}


def _print_text(rest: str, _: Callable[[], Answer]) -> Answer:
    status, _space, text = rest.partition(" ")
    return int(status), f"{text}\n", ""


def _error(rest: str, _: Callable[[], Answer]) -> Answer:
    status, _space, text = rest.partition(" ")
    return int(status), "", f"{text}\n"


def _truncate(_: str, run: Callable[[], Answer]) -> Answer:
    code, out, err = run()
    return code, out[: len(out) // 2], err


def _garbage(_: str, __: Callable[[], Answer]) -> Answer:
    return 0, random.Random(1).randbytes(4096).decode("utf-8", "surrogateescape"), ""  # noqa: S311


def _bomb(_: str, __: Callable[[], Answer]) -> Answer:
    return 0, f"x {'1' * 1_000_000}x\n{'[' * 1_000_000}\n", ""


CHANGED: dict[str, Callable[[str, Callable[[], Answer]], Answer]] = {
    "exit": lambda status, run: (int(status), *run()[1:]),
    "print": _print_text,
    "error": _error,
    "warn": lambda text, run: (*run()[:2], f"{text}\n"),
    "empty": lambda _, __: (0, "", ""),
    "truncate": _truncate,
    "garbage": _garbage,
    "bomb": _bomb,
}


def _print(code: int, out: str, err: str) -> int:
    sys.stdout.buffer.write(out.encode("utf-8", "surrogateescape"))
    sys.stderr.write(err)
    return code
