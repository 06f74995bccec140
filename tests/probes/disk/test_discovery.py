import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.probes.disk import discovery
from exporter.probes.disk.discovery import DirectoryList, absolute, find_directories, outermost


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps out the directories of the user who runs the tests."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("HF_HOME", raising=False)


async def test_finds_the_usual_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place that is a directory is found, under every home; files in their place are not."""
    for place in (
        "home/a/.cache/huggingface/hub",
        "home/b/.ollama/models",
        "root/.cache/huggingface/hub",
        "usr/share/ollama/.ollama/models",
        "ai/models",
        "data/hf",
    ):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/models").touch()
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("HF_HOME", "/data/hf/")
    found = await find_directories(tmp_path)
    assert [path.removeprefix(str(tmp_path)) for path in found.directories] == [
        "/ai/models",
        "/data/hf",
        "/home/a/.cache/huggingface/hub",
        "/home/b/.ollama/models",
        "/root/.cache/huggingface/hub",
        "/usr/share/ollama/.ollama/models",
    ]


async def test_finds_nothing_on_an_empty_host(tmp_path: Path) -> None:
    """Where none of the places is there, not even /home, nothing is found."""
    assert await find_directories(tmp_path) == DirectoryList()


async def test_does_not_wait_for_a_place_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that never returns, as on a dead mount, costs the others nothing, and its process ends."""
    (tmp_path / "ai/models").mkdir(parents=True)
    pid = tmp_path / "pid"
    scanner = tmp_path / "scanner.py"
    scanner.write_text(
        "import json, os, signal, sys\n"
        "if '/srv/' in sys.argv[2]:\n"
        f"    open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "    signal.pause()\n"
        "print(json.dumps([[sys.argv[2]] * 2] if os.path.isdir(sys.argv[2]) else []))\n"
    )
    monkeypatch.setattr(discovery, "SCANNER", scanner)
    others = asyncio.all_tasks()
    wait = asyncio.wait

    async def time_out(tasks: list[asyncio.Task[Any]], timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """The time is up when every process but the one that hangs has finished."""
        if timeout is None:
            return await wait(tasks)
        while sum(not task.done() for task in tasks) > 1 or not pid.exists() or not pid.read_text():
            await asyncio.sleep(0.01)
        return await wait(tasks, timeout=0)

    monkeypatch.setattr(asyncio, "wait", time_out)
    assert await find_directories(tmp_path) == DirectoryList((f"{tmp_path}/ai/models",))
    await asyncio.gather(*(asyncio.all_tasks() - others), return_exceptions=True)
    assert not Path(f"/proc/{pid.read_text()}").exists()


async def test_finds_nothing_with_a_broken_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery never fails: where the process can't even be started nothing is found."""
    (tmp_path / "ai/models").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert await find_directories(tmp_path) == DirectoryList()


def test_scans_nothing_twice() -> None:
    """A directory inside another, or there under a second name, is left to the one that shows it."""
    real = {
        "/srv/models": "/mnt/nvme/models",
        "/ai/models": "/mnt/nvme/models",
        "/home/x/.cache/huggingface": "/home/x/.cache/huggingface",
        "/home/x/.cache/huggingface/hub": "/home/x/.cache/huggingface/hub",
        "/home/x/.cache/huggingface2": "/home/x/.cache/huggingface2",
    }
    assert outermost(real) == ("/ai/models", "/home/x/.cache/huggingface", "/home/x/.cache/huggingface2")


def test_leaves_out_unset_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset variable, or a path that is not absolute, names no place; two names of one count once."""
    monkeypatch.delenv("HOME")
    assert absolute(("$HF_HOME", "$HOME/.ollama/models", "/ai/models", "/ai//models/")) == ["/ai/models"]
    monkeypatch.setenv("HF_HOME", "relative")
    assert absolute(("$HF_HOME",)) == []
