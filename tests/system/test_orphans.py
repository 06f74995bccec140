"""In interpreters of their own: the one that runs the tests must not become anybody's parent."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.daemon import PROJECT, TIMEOUT, Daemon, daemon
from tests.system.test_subprocesses import alive
from tests.test_daemon import wait_for

# Forks twice, in a session of its own, with whatever environment, and leaves its pid.
DAEMON = """#!{python}
import os, sys
def leave(name):
    with open(name + ".new", "w") as file:
        file.write(str(os.getpid()) + "\\n")
    os.rename(name + ".new", name)
    os.execvpe("sleep", ["sleep", "1000"], dict(os.environ) if {marked} else {{}})
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        leave({pid!r})
    os._exit(0)
os.wait()
while not os.path.exists({pid!r}):
    pass
{then}
"""
MARKED = pytest.mark.parametrize("marked", [True, False], ids=["marked", "without environment"])


def daemonizing(tmp_path: Path, then: str = "print('dm 1')", *, marked: bool = True) -> tuple[Path, Path]:
    """A tool that leaves a daemon behind, and the file in which that leaves its pid."""
    tool, pid = tmp_path / "tool", tmp_path / "pid"
    tool.write_text(DAEMON.format(python=sys.executable, pid=str(pid), then=then, marked=marked))
    tool.chmod(0o755)
    return tool, pid


def in_python(script: str, *arguments: object) -> str:
    """What a script prints that runs in an interpreter of its own, which adopts orphans."""
    head = (
        "import asyncio, os, sys\n"
        "from exporter.system import orphans\n"
        "from exporter.system.subprocesses import run\n"
        "orphans.adopt()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + script, *map(str, arguments)],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    return done.stdout + done.stderr


@MARKED
def test_a_daemon_is_ended_with_its_run(tmp_path: Path, *, marked: bool) -> None:
    """What a tool leaves in a session of its own is gone, and reaped, when the run returns."""
    tool, pid = daemonizing(tmp_path, marked=marked)
    script = "print(asyncio.run(run(sys.argv[1])).text, end='')\nprint(orphans._children())\n"
    assert in_python(script, tool) == "dm 1\nset()\n"
    assert not alive(int(pid.read_text()))


def test_a_cancelled_run_ends_its_daemon(tmp_path: Path) -> None:
    """At the timeout, too."""
    tool, pid = daemonizing(tmp_path, "import time; print('dm 1', flush=True); time.sleep(1000)")
    script = (
        "async def main():\n"
        "    task = asyncio.create_task(run(sys.argv[1]))\n"
        "    while not os.path.exists(sys.argv[2]):\n"
        "        await asyncio.sleep(0.01)\n"
        "    task.cancel()\n"
        "    await asyncio.wait({task})\n"
        "    print(orphans._children())\n"
        "asyncio.run(main())\n"
    )
    assert in_python(script, tool, pid) == "set()\n"
    assert not alive(int(pid.read_text()))


def test_other_runs_processes_live_on(tmp_path: Path) -> None:
    """While one run ends, another's orphan may still be of use to its tool."""
    tool, pid = daemonizing(tmp_path, "import time; print('dm 1', flush=True); time.sleep(1000)")
    script = (
        "async def main():\n"
        "    task = asyncio.create_task(run(sys.argv[1]))\n"
        "    while not os.path.exists(sys.argv[2]):\n"
        "        await asyncio.sleep(0.01)\n"
        "    pid = open(sys.argv[2]).read().strip()\n"
        "    for _ in range(20):\n"
        "        await run('true')\n"
        "    print(os.path.exists(f'/proc/{pid}'))\n"
        "    task.cancel()\n"
        "    await asyncio.wait({task})\n"
        "    print(os.path.exists(f'/proc/{pid}'))\n"
        "asyncio.run(main())\n"
    )
    assert in_python(script, tool, pid) == "True\nFalse\n"


def test_many_runs_side_by_side_lose_no_exit_status() -> None:
    """Reaping orphans never takes a tool's own end from whoever waits for it."""
    script = (
        "async def one(n):\n"
        "    code = f'(setsid sleep 1000 &); (sleep 0 &); exit {n % 7}'\n"
        "    return (await run('sh', '-c', code)).code == n % 7\n"
        "async def main():\n"
        "    for _ in range(5):\n"
        "        print(all(await asyncio.gather(*(one(n) for n in range(40)))))\n"
        "    await run('true')\n"
        "    print(orphans._children())\n"
        "asyncio.run(main())\n"
    )
    assert in_python(script) == "True\n" * 5 + "set()\n"


def test_a_tree_of_daemons_is_ended(tmp_path: Path) -> None:
    """What a daemon started comes to the exporter when that is killed, and is ended in turn."""
    script = (
        'code = \'setsid sh -c "setsid sh -c \\\\"setsid sleep 1000 & wait\\\\" & wait" & sleep 0.3\'\n'
        "asyncio.run(run('sh', '-c', code))\n"
        "print(orphans._children())\n"
    )
    assert in_python(script) == "set()\n"


def scrape_until(exporter: Daemon, text: str) -> None:
    end = time.monotonic() + TIMEOUT
    while text not in exporter.get()[1]:
        assert time.monotonic() < end
        time.sleep(0.05)


@MARKED
def test_the_exporter_leaves_no_daemon(tmp_path: Path, *, marked: bool) -> None:
    """Neither after a run, nor after its end in the middle of one."""
    tool, pid = daemonizing(tmp_path, marked=marked)
    config = f"probes: {{commands: [{{name: dm, argv: [{tool}]}}]}}\n"
    with daemon(tmp_path, config) as exporter:
        scrape_until(exporter, 'dm{command="dm"} 1.0')
        assert not alive(int(pid.read_text()))
        assert exporter.children() == []
    pid.unlink()
    daemonizing(tmp_path, "import time; time.sleep(1000)", marked=marked)
    with daemon(tmp_path, config) as exporter:
        (running,) = wait_for(pid)
        assert alive(running)
        assert exporter.stop() == 0
    assert not alive(running)


def test_an_orphan_that_cannot_be_ended_is_counted(tmp_path: Path) -> None:
    """Another user's, such as a setuid program's: it is logged and counted once, and holds no run up."""
    tool, pid = daemonizing(tmp_path)
    script = (
        "def refuse(pid, number):\n"
        "    raise PermissionError\n"
        "kill, os.kill = os.kill, refuse\n"
        "for argv in ([sys.argv[1]], ['true']):\n"
        "    asyncio.run(run(*argv))\n"
        "    print(orphans.unkillable())\n"
        "os.kill = kill\n"
        "asyncio.run(run('true'))\n"
        "asyncio.run(run('true'))\n"
        "print(orphans.unkillable())\n"
    )
    output = in_python(script, tool)
    left = (
        f"a tool left process {pid.read_text().strip()} (sleep) of another user behind, which can't be ended"
    )
    assert output == f"1\n1\n0\n{left}\n"
