#!/usr/bin/python3
"""A command of the owner's, which tells what the sandbox lets it do: 0, or the number of the error.

It runs in a box on its own, with the box's Python.
"""

import os
import subprocess
from collections.abc import Callable

FOLDERS = (
    *("/", "/usr", "/etc", "/etc/grid-exporter", "/var", "/var/lib", "/run", "/run/lock", "/ai/models"),
    *("/home/alice/models", "/root", "/var/lib/grid-exporter-aide", "/sys/fs/cgroup"),
    *("/var/lib/grid-exporter", "/run/grid-exporter", "/tmp", "/var/tmp"),
)
DEVICES = ("nvidia0", "nvidiactl", "other", "null")


def tell(family: str, label: str, attempt: Callable[[str], None]) -> None:
    """Prints how the attempt ends that this folder or device is for."""
    try:
        attempt(label.partition('"')[2].rstrip('"'))
        code = 0
    except OSError as error:
        code = error.errno or -1
    print(f"{family}{{{label}}} {code}")


def write(folder: str) -> None:
    """Makes a file and removes it."""
    os.close(os.open(f"{folder}/written", os.O_CREAT | os.O_WRONLY))
    os.unlink(f"{folder}/written")  # noqa: PTH108 - as above


def use(device: str) -> None:
    """Opens a device."""
    os.close(os.open(f"/dev/{device}", os.O_RDWR))


if __name__ == "__main__":
    for folder in FOLDERS:
        tell("sandbox_write", f'folder="{folder}"', write)
    for device in DEVICES:
        tell("sandbox_open", f'device="{device}"', use)
    idle = subprocess.run(["ionice", "-c", "3", "true"], stderr=subprocess.DEVNULL, check=False)
    print("sandbox_idle", int(idle.returncode == 0))
