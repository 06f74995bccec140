"""The sockets that the exporter listens on: its own, or those that systemd hands over."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterable, Mapping

BACKLOG = 1024
HIGHEST_PORT = 65535
FIRST_DESCRIPTOR = 3  # of those that systemd hands over
UNREAD_SECONDS = 30.0  # that an answer may lie unread before the connection is dropped


class ListenError(Exception):
    """The address can't be listened on. Its text is the reason and what to do."""


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Sockets that listen on all of these addresses, or on none of them.

    Raises:
        ListenError: one of them is no address, is taken, or may not be had.
    """
    listeners: list[socket.socket] = []
    try:
        for address in dict.fromkeys(addresses):
            listeners += _listen(address)
    except ListenError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def inherited(environment: Mapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd hands over (socket activation).

    Raises:
        ListenError: there are none, or one is not a stream socket that listens.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        raise ListenError("--web.systemd-socket: systemd hands over no socket (is there a .socket unit?)")
    listeners = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(environment.get("LISTEN_FDS", "0"))):
        try:
            listener = socket.socket(fileno=descriptor)
            listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise ListenError(f"--web.systemd-socket: descriptor {descriptor}: {error.strerror}") from error
        if listener.type != socket.SOCK_STREAM or not listens:
            raise ListenError(
                f"--web.systemd-socket: descriptor {descriptor} does not listen; "
                "the unit needs ListenStream= and Accept=no"
            )
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - its signature
        if listener.family != socket.AF_UNIX:
            _limit_unread(listener)
        listeners.append(listener)
    return listeners


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    if listener.family == socket.AF_UNIX:
        return True
    host = str(listener.getsockname()[0])
    return host.startswith("127.") or host == "::1"


def _listen(address: str) -> list[socket.socket]:
    """Sockets listening on ``host:port``, ``[ipv6]:port`` or ``:port`` (every address).

    Raises:
        ListenError: it is no address, is taken, or may not be had.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > HIGHEST_PORT:
        raise ListenError(
            f"--web.listen-address: expected host:port such as 127.0.0.1:10058, got {address!r}"
        )
    name = host.removeprefix("[").removesuffix("]") or None
    try:
        places = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bind(family, place) for family, _, _, _, place in dict.fromkeys(places)]
    except UnicodeError as error:
        raise ListenError(f"can't listen on {address!r}: no host has such a name") from error
    except OSError as error:
        hint = "; is another exporter running? (ss -ltnp)" if error.errno == errno.EADDRINUSE else ""
        raise ListenError(f"can't listen on {address}: {error.strerror or error}{hint}") from error


def _bind(family: int, place: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _limit_unread(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _limit_unread(listener: socket.socket) -> None:
    """Has the kernel drop connections whose answers lie unread."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
