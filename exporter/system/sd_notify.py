"""Notifies systemd of the service's state (sd_notify), where systemd started it."""

from __future__ import annotations

import asyncio
import os
import socket
import time


def notify(**state: str | int) -> None:
    """Sends states such as READY=1; silently nothing where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    message = "\n".join(f"{name}={value}" for name, value in state.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_manager:
        to_manager.settimeout(0)
        try:
            to_manager.sendto(message.encode(), address)
        except OSError:
            return  # an error of the manager is no reason to stop serving


def notify_reloading() -> None:
    """Sends that the configuration is being read again; READY=1 follows when it is done."""
    notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


async def feed_watchdog() -> None:
    """Sends a sign of life twice as often as systemd asks for, from the event loop itself.

    It comes from the loop so that systemd notices one that hangs. Returns at once where no watchdog is set.
    """
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while microseconds:
        notify(WATCHDOG=1)
        await asyncio.sleep(microseconds / 2_000_000)
