import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.engine.runner import Runner
from exporter.probe import Duration, Probe, Result, Schedule
from exporter.system.threads import LARGE, run_in_thread, run_in_thread_if_large


async def test_a_threads_result_or_error_comes_back() -> None:
    """A result and an error both reach who awaits them, from another thread than the loop's."""
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    assert await run_in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 1, 0)


async def test_only_long_text_is_read_in_a_thread() -> None:
    """A short text is read sooner than a thread starts; a long one would hold up the loop."""
    for length in (0, LARGE):
        assert await run_in_thread_if_large(length, threading.get_ident) == threading.get_ident()
    assert await run_in_thread_if_large(LARGE + 1, threading.get_ident) != threading.get_ident()


async def test_a_cancelled_one_waits_for_its_thread() -> None:
    """The run of a probe is not over before its thread is, or the next one would start beside it."""
    release = threading.Event()
    task = asyncio.create_task(run_in_thread(release.wait))
    await asyncio.sleep(0.01)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_second_cancellation_abandons_the_thread() -> None:
    """Whoever stops the exporter doesn't wait for what hangs."""
    release = threading.Event()
    task = asyncio.create_task(run_in_thread(release.wait))
    for _ in range(2):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()


async def test_a_hanging_read_costs_the_others_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that never answers leaves its probe stuck with one thread; others work; then it recovers."""
    monkeypatch.setattr("exporter.engine.runner.GRACE", 0.05)
    os.mkfifo(tmp_path / "hangs")
    before = set(Path("/proc/self/task").iterdir())

    def more() -> int:
        return len(set(Path("/proc/self/task").iterdir()) - before)

    async def look() -> Result:
        await run_in_thread((tmp_path / "hangs").read_bytes)
        return Result(())

    schedule = Schedule(ttl=Duration(1), wait=Duration(0), timeout=Duration(0.01))
    runner = Runner(Probe("hangs", schedule, None, look), lambda: None)
    runner.start_if_due(runner.clock())
    await runner.finished()
    assert runner.stuck
    runner.start_if_due(runner.clock() + 3600)
    assert more() == 1
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    (tmp_path / "hangs").write_bytes(b"")
    assert runner.in_flight is not None
    await runner.in_flight
    assert not runner.stuck
    async with asyncio.timeout(100):
        while more():
            await asyncio.sleep(0.01)


def python(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", script, *argv], timeout=60, capture_output=True, text=True, check=False
    )


def test_a_thread_that_cannot_be_had_is_a_clear_failure() -> None:
    """On a machine that is full of processes a probe fails for that reason, not for a bug."""
    script = (
        "import asyncio, os, resource; from exporter.system.threads import run_in_thread\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "asyncio.run(run_in_thread(int))\n"
    )
    assert "exporter.probe.ProbeError: can't start new thread" in python(script).stderr


def test_an_exit_waits_for_no_thread_that_hangs(tmp_path: Path) -> None:
    """The interpreter ends although a read never returns."""
    os.mkfifo(tmp_path / "hangs")
    script = (
        "import asyncio, pathlib, sys; from exporter.system.threads import run_in_thread\n"
        "async def main():\n"
        "    task = asyncio.create_task(run_in_thread(pathlib.Path(sys.argv[1]).read_bytes))\n"
        "    for _ in range(2):\n"
        "        await asyncio.sleep(0.01)\n"
        "        task.cancel()\n"
        "asyncio.run(main())\n"
    )
    ended = python(script, str(tmp_path / "hangs"))
    assert (ended.returncode, ended.stderr) == (0, "")
