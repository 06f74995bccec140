"""The cards of a fake box: a session of nvidia-smi, put together from recorded ones."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from tests.box import containers
from tests.box.files import CAPTURES, put
from tests.box.nvidia_smi import Row, table

RECORDED = CAPTURES / "nvidia-smi"
SERVERS = {"ollama": "ollama", "vllm": "vllm"}  # the names of their processes, by container
APPS = "gpu_uuid, pid, process_name, used_gpu_memory [MiB]"
VLLM = "-m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-14B-AWQ"
# Who holds the memory of a card: the container ("" is the host itself), the program, how much of it, MiB, and
# what follows the program on its command line.
HOLDERS = (
    (
        ("ollama", "/usr/bin/ollama", 9216, "serve"),
        ("comfyui", "/opt/venv/bin/python3", 7400, "main.py --listen"),
        ("", "/usr/lib/jupyter/bin/python3", 1100, "-m ipykernel_launcher"),
    ),
    (
        (
            "vllm",
            "/usr/bin/python3",
            21504,
            VLLM,
        ),
        ("whisper", "/app/.venv/bin/python3", 4600, "app.py"),
    ),
)


def born(box: Path, count: int) -> None:
    """Puts so many cards into the box: in turn one of GeForce's, with a fan, and one with ECC."""
    session = box / "gpu"
    session.mkdir()
    shutil.copy(RECORDED / "rtx-4090-loaded/help-query-gpu.txt", session)
    header, recorded = _recorded()
    rows = [_card(recorded[index % len(recorded)], index) for index in range(count)]
    lines = [", ".join(row.values()) for row in rows]
    put(session / "query-gpu.csv", "\n".join([header, *lines]) + "\n")
    apps = [line for index, row in enumerate(rows) for line in _apps(box, index, row["uuid"])]
    put(session / "query-compute-apps.csv", "\n".join([APPS, *apps]) + "\n")
    put(session / "faults", "")


def _recorded() -> tuple[str, tuple[Row, Row]]:
    """The tables' header, and the two cards that all are made from."""
    header, (first, *_) = table(RECORDED / "rtx-4090-loaded", "query-gpu")
    _, (second, *_) = table(RECORDED / "a100-pair", "query-gpu")
    second |= {"name": "NVIDIA A100-PCIE-40GB", "driver_version": first["driver_version"]}
    return header, (first, second)


def _card(row: Row, index: int) -> Row:
    """A card of its own."""
    bus = f"{index + 1:02X}"
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"card {index}")
    return row | {"index": str(index), "uuid": f"GPU-{identity}", "pci.bus_id": f"00000000:{bus}:00.0"}


def _apps(box: Path, index: int, card: str) -> list[str]:
    """The processes of a card, each with its cgroup under BOX/proc."""
    lines = []
    for number, (container, program, used, arguments) in enumerate(HOLDERS[index % len(HOLDERS)]):
        pid = 50_000 + 100 * index + number
        start(box, pid, container, f"{program} {arguments}")
        lines.append(f"{card}, {pid}, {program}, {used}")
    return lines


def start(box: Path, pid: int, container: str, command: str) -> None:
    """Puts a process under BOX/proc: its command line, its name and its control group."""
    group = f"docker-{containers.full_id(container)}.scope" if container else "jupyter.service"
    program = command.partition(" ")[0].rpartition("/")[2]
    put(box / "proc" / str(pid) / "cgroup", f"0::/system.slice/{group}\n")
    put(box / "proc" / str(pid) / "cmdline", command.replace(" ", "\0") + "\0")
    put(box / "proc" / str(pid) / "comm", SERVERS.get(container, program) + "\n")
