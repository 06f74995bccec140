"""The configuration in careless hands: half-written, replaced while it is read, reloaded without end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import TIMEOUT, Daemon, daemon
from tests.faults.vitals import scraped, vitals

MIB = 1024 * 1024
SUCCESSFUL = "grid_exporter_config_last_reload_successful"
TTL = 'grid_probe_ttl_seconds{probe="host"}'


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("reload"), configured(2)) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def config(exporter: Daemon) -> Path:
    """The configuration's file, which is a good one before each test."""
    path = exporter.log.with_name("config.yml")
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_text(configured(2))
    settled(exporter, 1, 2)
    return path


def configured(ttl: int) -> str:
    """A configuration that shows which one it is, long enough to be read while it is being written."""
    return f"probes: {{host: {{ttl: {ttl}s}}}}\n" + "# nothing\n" * 5000


def ask(exporter: Daemon) -> None:
    """Asks for a reload."""
    exporter.process.send_signal(signal.SIGHUP)


def settled(exporter: Daemon, successful: float, ttl: float) -> None:
    """Asks for a reload and waits until it has come to this."""
    ask(exporter)
    end = time.monotonic() + TIMEOUT
    while (series := scraped(exporter))[SUCCESSFUL] != successful or series[TTL] != ttl:
        assert time.monotonic() < end, exporter.log.read_text()
        time.sleep(0.02)


def test_a_storm_of_reloads(exporter: Daemon, config: Path) -> None:
    """A thousand SIGHUPs, while the file changes: scrapes go on, and the last file is the active one."""
    before = vitals(exporter)
    for number in range(1000):
        if number % 10 == 0:
            config.write_text(configured(3 + number % 5) if number % 20 else "probes: [")
        ask(exporter)
        if number % 100 == 99:
            scraped(exporter)
    config.write_text(configured(9))
    settled(exporter, 1, 9)
    now = vitals(exporter)
    assert now.descriptors <= before.descriptors + 2
    assert now.memory < before.memory + 16 * MIB


def test_a_file_that_is_replaced_while_it_is_read(exporter: Daemon, config: Path) -> None:
    """Whatever is there at the moment, half a file or none, scrapes go on, and the last one is taken."""
    stop = threading.Event()

    def replace() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            config.write_text(configured(3 + number % 2))
            if number % 5 == 0:
                config.unlink()

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(60):
            ask(exporter)
            assert scraped(exporter).get(TTL) in {2, 3, 4}
    finally:
        stop.set()
        writer.join()
    config.write_text(configured(5))
    settled(exporter, 1, 5)


@pytest.mark.parametrize("instead", ["nothing", "a directory", "a loop", "rubbish", "too much", "/dev/zero"])
def test_something_else_in_its_place(exporter: Daemon, config: Path, instead: str) -> None:
    """What is no configuration is refused; the active one stays until there is a good one."""
    config.unlink()
    match instead:
        case "a directory":
            config.mkdir()
        case "a loop":
            config.symlink_to(config)
        case "rubbish":
            config.write_bytes(os.urandom(10_000))
        case "too much":
            config.write_text("# nothing\n" * 1_000_000)
        case "/dev/zero":
            config.symlink_to("/dev/zero")
    settled(exporter, 0, 2)


def test_a_pipe_in_its_place(exporter: Daemon, config: Path) -> None:
    """One that nobody writes into holds up neither scrapes nor the next reload."""
    config.unlink()
    os.mkfifo(config)
    settled(exporter, 0, 2)
    config.unlink()
    config.write_text(configured(7))
    settled(exporter, 1, 7)
