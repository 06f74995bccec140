import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.system.sd_notify import feed_watchdog, notify, notify_reloading


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(100)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_states_arrive_as_systemd_wants_them(manager: socket.socket) -> None:
    """A line for each state."""
    notify(READY=1, STATUS="serving")
    assert manager.recv(1000) == b"READY=1\nSTATUS=serving"


def test_a_manager_may_listen_at_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address without a file: systemd writes it with an @ where the kernel wants a NUL."""
    name = f"grid-exporter-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(100)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify(READY=1)
        assert listener.recv(1000) == b"READY=1"


def test_a_reload_carries_its_time(manager: socket.socket) -> None:
    """Type=notify-reload wants to know when the reload began."""
    notify_reloading()
    assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, or with a manager that is gone, the exporter serves all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY=1)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    notify(READY=1)


async def test_the_watchdog_is_fed_from_the_loop(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs of life come while the loop runs, and only for the process that was asked for them."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    feeding = asyncio.create_task(feed_watchdog())
    for _ in range(3):
        assert await asyncio.to_thread(manager.recv, 1000) == b"WATCHDOG=1"
    feeding.cancel()
    monkeypatch.setenv("WATCHDOG_PID", "1")
    await feed_watchdog()
