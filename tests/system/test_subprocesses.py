import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from exporter.probe import ProbeError
from exporter.system import orphans, subprocesses
from tests.unprivileged import unprivileged


def alive(pid: int) -> bool:
    """Whether the process runs: a zombie that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(path: Path) -> str:
    """The file's text as soon as there is some."""
    async with asyncio.timeout(100):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text()


async def gone(pid: int) -> None:
    async with asyncio.timeout(100):
        while alive(pid):
            await asyncio.sleep(0.01)


async def test_output_streams_and_exit_status_come_back_apart() -> None:
    """The exit status is the caller's to judge; what came on stderr never mixes with stdout."""
    output = await subprocesses.run("sh", "-c", "echo good; echo warning >&2; exit 3")
    assert (output.stdout, output.stderr, output.code) == (b"good\n", b"warning\n", 3)
    assert output.error_message == "warning"


async def test_a_run_ends_with_its_process_not_with_its_pipes(tmp_path: Path) -> None:
    """A child left behind that holds the pipe neither delays the run nor survives it."""
    pid_file = tmp_path / "pid"
    async with asyncio.timeout(100):
        output = await subprocesses.run("sh", "-c", f"sleep 1000 & echo $! > {pid_file}; echo done")
    assert output.text == "done\n"
    await gone(int(pid_file.read_text()))


async def test_a_grandchild_in_its_own_session_does_not_hold_the_run(tmp_path: Path) -> None:
    """What has left the group keeps the pipe open for ever, and still the run is over with its process."""
    pid_file = tmp_path / "pid"
    wait = f"while [ ! -s {pid_file} ]; do sleep 0.01; done"
    async with asyncio.timeout(100):
        await subprocesses.run("sh", "-c", f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 1000' & {wait}")
    pid = int(await until(pid_file))
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_cancelling_kills_a_group_that_ignores_sigterm(tmp_path: Path) -> None:
    """At the timeout neither the tool nor what it started lives on."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 1000 & echo $$ $! > {pids}; wait; sleep 1000"
    task = asyncio.create_task(subprocesses.run("sh", "-c", script))
    parent, child = map(int, (await until(pids)).split())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(parent)
    await gone(child)


@pytest.mark.parametrize("steps", range(1, 6))
async def test_cancelling_one_that_is_just_starting_leaves_nothing(tmp_path: Path, steps: int) -> None:
    """However early the cancellation comes on a busy loop, what the tool has started by then goes with it."""
    pid_file = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    task = asyncio.create_task(subprocesses.run("sh", "-c", script))
    for _ in range(steps):
        await asyncio.sleep(0)
    started = Path("/proc/thread-self/children").read_text() != ""
    deadline = time.monotonic() + 60
    while started and not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 - the loop has other things to do
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if started or pid_file.exists():
        await gone(int(pid_file.read_text()))
    assert Path("/proc/thread-self/children").read_text() == ""


async def test_never_ending_output_is_cut_and_the_tool_ended() -> None:
    """A flood costs no more memory than its limit and becomes a reason that a person understands."""
    async with asyncio.timeout(100):
        with pytest.raises(ProbeError, match=r"^yes printed more than 1024 KiB$"):
            await subprocesses.run("yes", limit=1024 * 1024)


async def test_a_flood_on_stderr_is_thrown_away() -> None:
    """Megabytes of warnings neither fail the run nor fill the memory."""
    output = await subprocesses.run("sh", "-c", "head -c 5000000 /dev/zero >&2; echo good")
    assert output.text == "good\n"
    assert len(output.stderr) == subprocesses.STDERR_LIMIT


async def test_output_that_fills_the_pipe_arrives_whole() -> None:
    """More than a pipe holds comes through, up to the limit, the last byte included."""
    output = await subprocesses.run("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; printf end")
    assert len(output.stdout) == 3_000_003
    assert output.stdout.endswith(b"xend")


async def test_output_left_in_the_pipes_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that is quicker than its reader loses no output."""
    monkeypatch.setattr(subprocesses, "CHUNK", 1000)
    output = await subprocesses.run("sh", "-c", "head -c 60000 /dev/zero; head -c 50000 /dev/zero >&2")
    assert (len(output.stdout), len(output.stderr)) == (60_000, 50_000)


async def test_as_much_as_the_limit_may_come() -> None:
    """One byte more is too much."""
    assert len((await subprocesses.run("head", "-c", "1000", "/dev/zero", limit=1000)).stdout) == 1000
    with pytest.raises(ProbeError, match="printed more than"):
        await subprocesses.run("head", "-c", "1001", "/dev/zero", limit=1000)


async def test_missing_and_not_executable_differ(tmp_path: Path) -> None:
    """Each has its message and its hint."""
    with pytest.raises(ProbeError, match=r"^no-such-tool is not installed$"):
        await subprocesses.run("no-such-tool")
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    with pytest.raises(ProbeError, match="may not be executed") as error:
        await subprocesses.run(str(tool))
    assert error.value.hint == f"chmod +x {tool}"


async def test_via_launcher_the_messages_are_the_same(tmp_path: Path) -> None:
    """The launcher's own errors and the program's are distinguished."""
    tool = tmp_path / "tool"
    with pytest.raises(ProbeError, match=f"^{tool} is not installed$"):
        await subprocesses.run(str(tool), via_launcher=True)
    tool.write_text("#!/bin/sh\necho $1; echo nice: my own words >&2; exit $1\n")
    with pytest.raises(ProbeError, match=f"^{tool} may not be executed$"):
        await subprocesses.run(str(tool), via_launcher=True)
    tool.chmod(0o755)
    output = await subprocesses.run(str(tool), "3", via_launcher=True)
    assert (output.argv, output.code, output.text) == ((str(tool), "3"), 3, "3\n")
    assert output.error_message == "nice: my own words"


async def test_a_closed_folder_on_path_is_passed_over(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With root's own folders on PATH, as sudo may leave it, a missing tool is reported as missing."""
    closed = tree / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("PATH", f"{closed}:/usr/bin:/bin")
    with unprivileged(), pytest.raises(ProbeError, match=r"^no-such-tool is not installed$"):
        await subprocesses.run("no-such-tool")


async def test_a_file_that_is_no_program_is_a_clear_failure(tmp_path: Path) -> None:
    """The kernel's refusal to start a file becomes a reason, not an exception of its own."""
    tool = tmp_path / "tool"
    tool.write_bytes(b"\x00\x01 no program")
    tool.chmod(0o755)
    with pytest.raises(ProbeError, match=r"could not be started: Exec format error"):
        await subprocesses.run(str(tool))


async def test_tools_get_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter's environment stays with the exporter; messages come in plain English."""
    monkeypatch.setenv("GRID_SECRET", "hunter2")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    output = await subprocesses.run("env", env={"EXTRA": "1"})
    names = {line.partition("=")[0] for line in output.text.splitlines()}
    assert names <= {"PATH", "HOME", "XDG_RUNTIME_DIR", "LC_ALL", "EXTRA", "PWD", "SHLVL", "_", orphans.MARK}
    assert "LC_ALL=C" in output.text.splitlines()


async def test_text_keeps_bytes_that_are_not_utf8() -> None:
    """Nothing that a tool prints can raise in decoding, and no two byte strings become one."""
    output = await subprocesses.run("printf", r"a\377b")
    assert output.text == "a\udcffb"


async def test_the_error_message_names_how_a_tool_ended() -> None:
    """A signal is named; a tool without a message gives its exit status."""
    assert (await subprocesses.run("sh", "-c", "kill -SEGV $$")).error_message.startswith("ended by SIGSEGV")
    assert (await subprocesses.run("false")).error_message == "exit status 1"
    assert (await subprocesses.run("true")).error_message == "exit status 0"
    killed = await subprocesses.run("sh", "-c", "echo oh no >&2; kill -KILL $$")
    assert (killed.error_message, killed.code) == ("ended by SIGKILL: oh no", -9)


async def test_nothing_is_left_open() -> None:
    """Thousands of runs must not use up file descriptors: success, failure and cancellation leave none."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        await subprocesses.run("true")
        with pytest.raises(ProbeError):
            await subprocesses.run("yes", limit=1000)
        task = asyncio.create_task(subprocesses.run("sleep", "1000"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


async def test_what_ran_can_be_traced() -> None:
    """`grid-exporter probe` shows every process that a probe started."""
    ran: list[subprocesses.Output] = []
    subprocesses.trace.set(ran)
    await subprocesses.run(sys.executable, "-c", "pass")
    assert [output.argv[0] for output in ran] == [sys.executable]
    assert 0 < ran[0].seconds < 60


async def test_another_program_takes_the_place_of_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that works is not searched for again; one that fails or is gone is, on the whole of PATH."""

    def program(folder: str, status: int) -> str:
        path = tmp_path / folder / "tool"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\nexit {status}\n")
        path.chmod(0o755)
        return str(path)

    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second:/usr/bin:/bin")
    second = program("second", 0)
    await subprocesses.run("tool")
    first = program("first", 0)
    assert subprocesses.find("tool") == second
    program("second", 1)
    await subprocesses.run("tool")
    assert subprocesses.find("tool") == first
    await subprocesses.run("tool")
    Path(first).unlink()
    assert subprocesses.find("tool") == second
