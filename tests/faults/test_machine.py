"""A machine that runs out of things, or whose clock jumps: scrapes stay honest, and all recovers."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box.files import put
from tests.daemon import TIMEOUT, daemon
from tests.faults.boxed import Boxed, boxed
from tests.faults.vitals import at_rest, scraped

MIB = 1024 * 1024
DAY = 86400.0

# Python reads this at its start: time.time() is then off by the offset in the file.
CLOCK = """\
import time
from pathlib import Path

_real, _off = time.time, Path({off!r})
time.time = lambda: _real() + float(_off.read_text())
"""


@pytest.fixture(scope="module")
def fake_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with boxed(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(fake_host: Boxed) -> dict[str, float]:
    """The values while nothing is wrong."""
    return fake_host.values()


@contextlib.contextmanager
def limited(fake_host: Boxed, resource: str, amount: int, usual: str) -> Iterator[None]:
    """Allows the exporter so much for a while."""
    pid = str(fake_host.exporter.process.pid)
    subprocess.run(["prlimit", "--pid", pid, f"--{resource}={amount}:"], check=True)
    try:
        yield
    finally:
        subprocess.run(["prlimit", "--pid", pid, f"--{resource}={usual}:"], check=True)


def test_no_descriptor_for_a_tool(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """Each probe that can't start its tool reports it, once; the scrape is served from snapshots."""
    usual = "1024"
    with limited(fake_host, "nofile", at_rest(fake_host.exporter).descriptors + 2, usual):
        fake_host.until_run(time.time(), dict.fromkeys(fake_host.probes.values(), False))
        log = fake_host.exporter.log.read_text()
        assert log.count("docker could not be started: Too many open files") == 1
    fake_host.repair(healthy)
    assert "Traceback" not in fake_host.exporter.log.read_text()


def test_no_descriptor_for_a_connection(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """Who comes then waits, is served later, and the log has one line of it."""
    log = fake_host.exporter.log.read_text()
    address = ("127.0.0.1", fake_host.exporter.port)
    with socket.socket() as client:
        client.settimeout(TIMEOUT)
        with limited(
            fake_host, "nofile", 3, "1024"
        ):  # those numbers are always taken, so nothing new is opened
            client.connect(address)
            client.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            fake_host.exporter.wait_logged("no connection can be accepted just now: Too many open files")
            time.sleep(1.5)  # it tries again each second, and stays quiet
        assert client.recv(12).endswith(b"200")
    fake_host.repair(healthy)
    lines = fake_host.exporter.log.read_text().removeprefix(log).splitlines()
    assert sum("just now" in line for line in lines) == 1
    assert "Traceback" not in "\n".join(lines)


def test_no_memory_for_what_a_tool_prints(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """One that floods is ended before it takes what others need; they go on."""
    status = Path(f"/proc/{fake_host.exporter.process.pid}/status").read_text()
    size = int(re.findall(r"VmSize:\s+(\d+)", status)[0]) * 1024
    with limited(fake_host, "as", size + 12 * MIB, "unlimited"):
        fake_host.box.fault("docker", "flood")
        others = dict.fromkeys(fake_host.probes.values(), True)
        fake_host.until_run(time.time(), {**others, "containers": False})
        assert re.search(r"docker printed more than [1-9]\d* KiB", fake_host.exporter.log.read_text())
    fake_host.repair(healthy)
    assert "Traceback" not in fake_host.exporter.log.read_text()


@pytest.mark.real("mount", "umount")
def test_no_room_for_the_state(fake_host: Boxed, healthy: dict[str, float]) -> None:
    """With the disk full Tor's exit is served all the same, with a note; later it is kept again."""
    state = fake_host.box.directory / "state"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "full", state], check=True)
    try:
        (state / "fill").write_bytes(bytes(4096))
        fake_host.box.tor(exits=["192.0.2.1"])
        fake_host.until(lambda series: 'grid_tor_exit_info{address="192.0.2.1"}' in series)
        assert "could not be written to" in fake_host.exporter.get("/")[1]
        (state / "fill").unlink()
        end = time.monotonic() + TIMEOUT
        while "could not be written to" in fake_host.exporter.get("/")[1]:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert b"192.0.2.1" in (state / "tor-exit.json").read_bytes()
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
    fake_host.box.tor()
    fake_host.until(lambda series: 'grid_tor_exit_info{address="192.0.2.1"}' not in series)


def test_no_room_for_the_log(tmp_path: Path) -> None:
    """With the disk full that its log and its greeting go to it serves, reloads and ends as ever."""
    (tmp_path / "exporter.log").symlink_to("/dev/full")
    with daemon(tmp_path, "probes: {host: {}}\n") as exporter:
        (tmp_path / "config.yml").write_text("probes: {host: {ttl: soon}}\n")
        exporter.process.send_signal(1)
        end = time.monotonic() + TIMEOUT
        while scraped(exporter)["grid_exporter_config_last_reload_successful"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert exporter.stop() == 0


def test_a_clock_that_steps(tmp_path: Path) -> None:
    """Whether by a day, back or forth: probes run in time, and no value vanishes or is kept too long."""
    off = tmp_path / "off"
    off.write_text("0")
    (tmp_path / "python").mkdir()
    (tmp_path / "python/sitecustomize.py").write_text(CLOCK.format(off=str(off)))
    with boxed(tmp_path, env={"PYTHONPATH": str(tmp_path / "python")}) as fake_host:
        healthy = fake_host.values()
        for step in (DAY, -1.0, -400 * DAY):
            put(off, str(step))
            fake_host.until_run(time.time() + step, dict.fromkeys(fake_host.probes.values(), True))
            assert fake_host.values().keys() == healthy.keys()
        fake_host.box.fault("ups", "error 1 out of order")
        fake_host.until_run(time.time() - 400 * DAY, {"command:ups": False})
        put(off, str(DAY))
        assert 'ups_load_watts{command="ups"}' in fake_host.scrape()
        fake_host.until(lambda series: 'ups_load_watts{command="ups"}' not in series)
        assert "Traceback" not in fake_host.exporter.log.read_text()
