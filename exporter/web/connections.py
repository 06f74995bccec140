"""The connections to the exporter: let in a few at a time, and so few that a crowd shuts nobody out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterable

from exporter.web.protocol import Protocol
from exporter.web.tls import Refused

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256  # then the oldest makes room: Prometheus's own scrape always gets in
AT_ONCE = 16  # connections let in before others are served: one at a time, the hundredth would wait for long
HANDSHAKE_SECONDS = 10.0  # that TLS may take to agree
LINGER_SECONDS = 1.0  # for which a refused client may still send: to close at once would lose the alert
BACKOFF_SECONDS = 1.0  # until a connection is accepted again after the machine had no room for one
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Connections:
    """Lets connections in; where they are too many, an old one makes room for the new one.

    One whose TLS is still to be agreed on counts like any other: half a megabyte is what it costs.
    asyncio's own servers take as many as come, and out of descriptors log it ten thousand times a second.

    make_protocol: what speaks HTTP on a new connection. context: its TLS context.
    """

    def __init__(
        self,
        make_protocol: Callable[[], Protocol],
        context: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._make_protocol = make_protocol
        self._context = context
        # Half of the descriptors are for the probes' files and pipes.
        self._most = min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._open: dict[Protocol, asyncio.Task[None]] = {}  # the oldest first
        self._listeners: list[socket.socket] = []
        self._backing_off = False

    def accept_from(self, listeners: Iterable[socket.socket]) -> None:
        """Begins to let in who asks at these sockets."""
        for listener in listeners:
            listener.settimeout(0)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
            self._listeners.append(listener)

    def renew(self) -> None:
        """Ends every connection of another TLS context than new ones get: it would outlive what let it in.

        One that is being answered goes once it has its answer. A scraper that comes back on an idle one
        finds it closed and asks again on a new one, as Go's client does by itself.
        """
        context = self._context()
        for handler, connecting in self._open.items():
            if not connecting.done():
                connecting.cancel()
            elif handler.transport is None or handler.ssl_context is context:
                continue
            elif handler.is_answering:
                handler.close()
            else:
                handler.force_close()

    def stop(self) -> None:
        """Lets nobody in any more and ends what is not agreed on yet; the server ends the others."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        for connecting in self._open.values():
            connecting.cancel()

    def _accept(self, listener: socket.socket) -> None:
        """Lets a few in; before the next few the others are served."""
        for _ in range(AT_ONCE):
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM:
                    self._back_off(listener, error)
                return  # nobody is left; anything else is an error of the one who asked
            self._backing_off = False
            self._make_room()
            handler = self._make_protocol()
            self._open[handler] = asyncio.create_task(self._connect(handler, sock))

    async def _connect(self, handler: Protocol, sock: socket.socket) -> None:
        loop, context = asyncio.get_running_loop(), self._context()
        if context is None:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(lambda: handler, sock)
            return
        with contextlib.suppress(OSError), sock.dup() as refused:  # no TLS, not ours, or not in time
            try:
                await loop.connect_accepted_socket(
                    lambda: handler, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
                )
            except Refused as error:
                await _send_last(refused, error.reply)

    def _make_room(self) -> None:
        gone = [it for it, connecting in self._open.items() if connecting.done() and it.transport is None]
        for handler in gone:
            del self._open[handler]
        while self._open and self._descriptors() >= self._most:
            oldest = self._pick_eviction()
            self._open.pop(oldest).cancel()
            if oldest.transport is not None:
                oldest.transport.abort()

    def _descriptors(self) -> int:
        """One for each connection, and a second one while it is made: for what a refused client is sent."""
        return len(self._open) + sum(not connecting.done() for connecting in self._open.values())

    def _pick_eviction(self) -> Protocol:
        """The oldest that doesn't read its answer, else the oldest that is not being answered.

        Of those whose request is being handled only half of the places are safe.
        """
        if unread := next((handler for handler in self._open if handler.writing_paused), None):
            return unread
        too_busy = sum(handler.is_answering for handler in self._open) > self._most // 2
        eligible = (handler for handler in self._open if handler.is_answering is too_busy)
        return next(eligible, next(iter(self._open)))

    def _back_off(self, listener: socket.socket, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(BACKOFF_SECONDS, self._resume, listener)
        if not self._backing_off:
            log.warning("no connection can be accepted just now: %s", error.strerror)
        self._backing_off = True

    def _resume(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)


async def _send_last(sock: socket.socket, data: bytes) -> None:
    """Sends the last bytes of a connection and waits a little until the client has closed, too."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)  # noqa: FBT003 - its signature
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 4096):
                pass
