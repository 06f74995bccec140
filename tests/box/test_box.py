"""The fake box itself: what stands on it is worth no more than it."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.probe import ProbeError
from tests.box.box import EXITS, TOOLS, FakeBox, make
from tests.box.collect import collect, run_probes

KINDS = ("host", "gpu", "disk", "tor", "containers", "services", "aide", "command")


@pytest.mark.parametrize("kind", KINDS)
async def test_all_is_well(box: FakeBox, kind: str) -> None:
    """Every probe works on a new box and has nothing to remark."""
    assert [result.notes for result in await run_probes(box, kind) if result.notes] == []


async def test_frozen_box_tells_the_same_twice(box: FakeBox) -> None:
    """With its time stopped nothing moves, and a moment later in its time something does."""
    box.freeze(1.8e9)
    seen = [await collect(box, kind) for kind in ("gpu", "containers", "services", "command", "host", "tor")]
    again = [await collect(box, kind) for kind in ("gpu", "containers", "services", "command", "host", "tor")]
    assert again == seen
    box.freeze(1.8e9 + 60)
    later = [await collect(box, kind) for kind in ("gpu", "containers", "services", "command", "tor")]
    assert all(now != before for now, before in zip(later, seen, strict=False))


async def test_containers_hold_card_memory(box: FakeBox) -> None:
    """Which container holds a card's memory is known through the box's own /proc."""
    held = {name for name in await collect(box, "gpu") if "process_memory" in name}
    holders = {match[1] for name in held if (match := re.search(r'container="([^"]*)"', name))}
    assert holders == {"ollama", "comfyui", "", "vllm", "whisper"}


CHANGES: dict[str, tuple[str, Callable[[FakeBox], None], str, float]] = {
    "hot card": ("gpu", lambda box: box.gpu(0, "hot"), r'temperature_celsius\{gpu="0"', 93),
    "lost card": ("gpu", lambda box: box.gpu(1, "gone"), "^grid_gpus", 1),
    "full card": ("gpu", lambda box: box.gpu(0, "full"), r'memory_free_bytes\{gpu="0"', 0),
    "errors": ("gpu", lambda box: box.gpu(1, "ecc"), r"ecc_errors_total.*uncorrected", 2),
    "held back": ("gpu", lambda box: box.gpu(1, "throttled"), r'active\{gpu="1".*hw_thermal', 1),
    "unhealthy": (
        "containers",
        lambda box: box.container("vllm", health="unhealthy"),
        r'vllm",health="unhealthy"',
        1,
    ),
    "ended": (
        "containers",
        lambda box: box.container("vllm", status="exited", exit_code=137, oom=True),
        r'exit_code\{container="vllm"',
        137,
    ),
    "failed": ("services", lambda box: box.service("jupyter.service", "failed"), "grid_systemd_failed", 1),
    "tor down": ("tor", lambda box: box.tor("down"), "grid_tor_up", 0),
    "not tor": ("tor", lambda box: box.tor("not-tor"), "grid_tor_is_tor", 0),
    "findings": ("aide", lambda box: box.aide(added=3), r'change="added"', 3),
    "check failed": ("aide", lambda box: box.aide(success=False), "grid_aide_check_success", 0),
    "model": ("disk", lambda box: box.model("new.gguf", 7e9), r'entry="new.gguf"', 7e9),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_changes_are_seen(box: FakeBox, name: str) -> None:
    """What is changed in the box, the probes find."""
    kind, change, pattern, value = CHANGES[name]
    change(box)
    assert [v for it, v in (await collect(box, kind)).items() if re.search(pattern, it)] == [value]


async def test_little_memory(box: FakeBox) -> None:
    """Memory can be made scarce, and is the machine's own again after that."""
    box.memory(0.03)
    seen = await collect(box, "host")
    assert seen["grid_memory_available_bytes"] / seen["grid_memory_total_bytes"] == pytest.approx(
        0.03, rel=0.01
    )
    box.own_host()
    assert (await collect(box, "host"))["grid_memory_available_bytes"] > seen["grid_memory_available_bytes"]


FAULTS = ("exit 3", "print 9 no driver", "error 1 down", "empty", "truncate", "garbage", "missing", "denied")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("tool", "kind"), [("nvidia-smi", "gpu"), ("systemctl", "services"), ("ups", "command")]
)
async def test_faults_are_felt(box: FakeBox, tool: str, kind: str, fault: str) -> None:
    """A tool's fault fails its probe, and repaired it works again."""
    box.fault(tool, fault)
    with pytest.raises(ProbeError):
        await run_probes(box, kind)
    box.repair(tool)
    assert await collect(box, kind)


def start(box: FakeBox, tool: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [box.directory / "bin" / tool, *arguments], stdout=subprocess.PIPE, start_new_session=True
    )


def ignores(pid: int, number: int) -> bool:
    """Whether a process has a signal ignored."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = re.search(r"^SigIgn:\s+(\w+)$", status, re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) >> (number - 1) & 1)


def test_deaf_tools_ignore_the_request_to_end(box: FakeBox) -> None:
    """``deaf`` must be killed; ``hang`` ends when asked to."""
    box.fault("docker", "hang")
    with start(box, "docker", "ps") as hanging:
        hanging.terminate()
        assert hanging.wait(100) == -signal.SIGTERM
    box.fault("docker", "deaf")
    with start(box, "docker", "ps") as deaf:
        while not ignores(deaf.pid, signal.SIGTERM):
            time.sleep(0.01)
        deaf.kill()


def test_flood_never_ends(box: FakeBox) -> None:
    """``flood`` goes on for as long as somebody reads."""
    box.fault("docker", "flood")
    with start(box, "docker", "ps") as flooding:
        assert flooding.stdout is not None
        assert len(flooding.stdout.read(20_000_000)) == 20_000_000
        flooding.kill()


def test_runs_are_counted(box: FakeBox) -> None:
    """Every run of a tool is noted with its arguments; an unknown fault is refused."""
    assert box.runs("docker") == []
    subprocess.run([box.directory / "bin/docker", "ps", "-a"], check=True, stdout=subprocess.DEVNULL)
    assert box.runs("docker") == ["ps -a"]
    with pytest.raises(ValueError, match="there is no fault 'explode'"):
        box.fault("docker", "explode")


def test_tools_are_quick(box: FakeBox) -> None:
    """A fake costs little more than an interpreter's start, so that benchmarks measure the exporter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(20):
        subprocess.run([box.directory / "bin/docker", "ps"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, which others on the machine don't take: some 15 ms.
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 20 < 0.15


async def test_grown_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box can be as large as a benchmark wants it."""
    box = make(tmp_path / "box", gpus=16, count=100, models=300)
    monkeypatch.setenv("PATH", box.environment["PATH"])
    assert (await collect(box, "gpu"))['grid_gpus{vendor="nvidia"}'] == 16
    containers = await collect(box, "containers")
    assert sum(name.startswith("grid_container_info") for name in containers) == 100
    assert sum(name.startswith("grid_container_cpu_seconds_total") for name in containers) == 99
    entries = [name for name in await collect(box, "disk") if name.startswith("grid_directory_entry")]
    assert len(entries) == 200 + 1 + 3  # the largest of one directory, (other), and the models of the other


def test_constants_fit() -> None:
    """Every tool has a module, and there are exits to change to."""
    assert len(set(TOOLS)) == len(TOOLS)
    assert len(EXITS) > 1
