"""A second box for the demo: an APU whose models lie in the host's memory, beside a card that sleeps."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

from prometheus.stack.stack import Box
from tests.box import host, waves
from tests.box.files import put
from tests.probes.gpu.trees import plant, recorded

NAME = "strix-halo"
TICK = 2  # seconds
GIB = 1024**3
SERVER = 4242  # the process that has a model in memory
MODEL = 62 * GIB
CARD = "class/drm/card1/device"
# As the recorded APU of the same generation, but for what differs in the larger one.
CHANGED = f"""
[{CARD}]
uevent = DRIVER=amdgpu\\nPCI_ID=1002:1586\\nPCI_SLOT_NAME=0000:c1:00.0
product_name = AMD Radeon 8060S
mem_info_gtt_total = {124 * GIB}
"""
FDINFO = f"""drm-driver:\tamdgpu
drm-client-id:\t7
drm-pdev:\t0000:c1:00.0
drm-resident-vram:\t200 MiB
drm-resident-gtt:\t{MODEL // 1024} KiB
"""


def make(directory: Path) -> Box:
    """Makes the box in a new directory."""
    host.born(directory)
    sys, process = directory / "sys", directory / f"proc/{SERVER}"
    recorded("amd/radeon-890m", sys)
    plant(CHANGED, sys)
    recorded("amd/rx-6900-xt", sys, "card0")
    plant(
        "[class/drm/card0/device]\nproduct_name = AMD Radeon RX 6900 XT\npower/runtime_status = suspended",
        sys,
    )
    (sys / "class/drm/renderD128").mkdir()
    (sys / "class/drm/renderD128/device").symlink_to("../card1/device")
    for pid in (1, SERVER):
        (directory / f"proc/{pid}/fd").mkdir(parents=True)
    (process / "fd/9").symlink_to("/dev/dri/renderD128")
    put(process / "fdinfo/9", FDINFO)
    put(process / "cmdline", "llama-server\0-m\0gpt-oss-120b.gguf\0")
    put(process / "cgroup", "0::/system.slice/llama-server.service\n")
    put(directory / "config.yml", yaml.safe_dump({"probes": {"host": {}, "gpu": {}}}))
    (directory / "bin").mkdir()
    move(directory, 0)
    paths = {"procfs": "proc", "sysfs": "sys", "cgroup": "cgroup"}
    flags = [f"--path.{flag}={directory / name}" for flag, name in paths.items()]
    # Without this machine's nvidia-smi.
    return Box(NAME, [f"--config.file={directory}/config.yml", *flags], {"PATH": f"{directory}/bin"})


def move(directory: Path, moment: float) -> None:
    """Lets the APU be as busy as it is at a moment, and as warm."""
    busy = min(1.0, max(0.0, waves.wave(NAME, moment, -0.7, 1.6, 240)))
    device = directory / "sys" / CARD
    put(device / "gpu_busy_percent", f"{100 * busy:.0f}\n")
    put(device / "mem_info_gtt_used", f"{MODEL + int(GIB * (1 + busy))}\n")
    (sensors,) = device.glob("hwmon/hwmon*")
    put(sensors / "temp1_input", f"{1000 * (38 + 36 * busy):.0f}\n")
    put(sensors / "freq1_input", f"{1_000_000 * (600 + 2300 * busy):.0f}\n")
    for name in ("power1_average", "power1_input"):
        put(sensors / name, f"{1_000_000 * (9 + 106 * busy):.0f}\n")


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Box]:
    """Makes the box, and keeps it busy meanwhile."""
    box, over = make(directory), threading.Event()

    def run() -> None:
        while not over.wait(TICK):
            move(directory, waves.now(str(directory)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield box
    finally:
        over.set()
        thread.join()
