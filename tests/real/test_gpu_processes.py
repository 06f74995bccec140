"""The drop-in that opens other users' processes, under a booted systemd; and that doctor names it."""

import errno

import pytest

from tests.daemon import PROJECT
from tests.probes.gpu.trees import recorded
from tests.real.installation import NEEDED
from tests.real.lived_in import changed, scrape, working
from tests.real.systemd_world import World, until

pytestmark = [
    pytest.mark.real(*NEEDED, "dockerd", "docker", "tor", "busybox", "setfacl"),
    pytest.mark.timeout(1800),
]

DROP_IN = (PROJECT / "systemd/gpu-processes.conf").read_text().splitlines()
CONFIG = """\
probes:
  host: {}
  gpu: {}
  commands: [{name: peek, argv: [/usr/local/bin/peek], ttl: 1s, wait: 5s}]
"""
# What the service may read of a process of root's: the number of the error, 0 where there is none.
PEEK = """\
#!/usr/bin/python3
import ctypes

class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def error(path):
    try:
        open(f"/proc/{pid}/{{path}}").read(1)
    except OSError as error:
        return error.errno
    return 0

def error_of_memory():
    try:
        start = int(open("/proc/{pid}/maps").readline().partition("-")[0], 16)
    except OSError as error:
        return error.errno
    libc, byte = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(1)
    here, there = Part(ctypes.addressof(byte), 1), Part(start, 1)
    read = libc.process_vm_readv({pid}, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return 0 if read == 1 else ctypes.get_errno()

for path in ("fdinfo/0", "environ", "mem"):
    print(f'peek{{{{what="{{path}}"}}}}', error(path))
print('peek{{what="memory"}}', error_of_memory())
"""


def peeked(host: World) -> dict[str, float]:
    """The error that each attempt to read met."""
    found = scrape(host)
    return {
        what: found[f'peek{{command="peek",what="{what}"}}']
        for what in ("fdinfo/0", "environ", "mem", "memory")
    }


def test_the_drop_in_opens_other_users_processes(host: World) -> None:
    """With it the service reads what the probe needs of root's processes, and still not their memory."""
    pid = host.show("state-active.service", "MainPID")
    host.put("/usr/local/bin/peek", PEEK.format(pid=pid), 0o755)
    recorded("amd/radeon-890m", host.root / "opt/gpu")
    flags = "--config.file=/etc/grid-exporter/config.yml --path.sysfs=/opt/gpu"
    where = ("EnvironmentFile=", f'Environment="ARGS={flags}"')
    without_filter = [line for line in DROP_IN if not line.startswith("SystemCallFilter=")]
    closed = dict.fromkeys(("fdinfo/0", "environ", "mem", "memory"), errno.EACCES)
    for lines, opened in (
        ((), {}),
        (DROP_IN, {"fdinfo/0": 0, "memory": errno.EPERM}),
        (without_filter, {"fdinfo/0": 0, "memory": 0}),
    ):
        with changed(host, *where, *lines, config=CONFIG):
            until(lambda: working(host) == {"host", "gpu:amd", "command:peek"})
            assert peeked(host) == closed | opened
            assert 'grid_gpu_memory_used_bytes{gpu="amd0",uuid="0000:c1:00.0"}' in scrape(host)


def test_doctor_names_the_drop_in(host: World) -> None:
    """Where much of a card's memory is held by processes that may not be read, doctor leads to it."""
    host.put("/opt/gpu.yml", "probes: {gpu: {}}\n")
    recorded("amd/radeon-890m", host.root / "opt/gpu")
    flags = ("--config.file=/opt/gpu.yml", "--path.sysfs=/opt/gpu")
    output = host.try_run("/usr/local/bin/grid-exporter", *flags, "doctor", user="grid-exporter").stdout
    assert "held by processes that it may not read" in output
    assert "docs/gpu.md" in output
