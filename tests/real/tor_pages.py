"""Pages for requests through Tor: what check.torproject.org answers, and what it should never answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pages(BaseHTTPRequestHandler):
    """Answers by the path: /api/ip as the real page does, its own address for the exit's."""

    def do_GET(self) -> None:
        """Answers any path there is a page for."""
        address = self.connection.getsockname()[0].encode()
        pages = {
            "/api/ip": (200, b'{"IsTor":true,"IP":"%s"}' % address),
            "/not-tor": (200, b'{"IsTor":false,"IP":"%s"}' % address),
            "/html": (200, b"<!doctype html><title>Are you using Tor?</title>"),
            "/huge": (200, b"[" * 10_000_000),
            "/moved": (302, b""),
            "/broken": (500, b"out of order"),
        }
        if self.path in pages:
            self._answer(*pages[self.path])
        else:
            getattr(self, f"_{self.path.strip('/')}")()

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Location", "/api/ip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def _endless(self) -> None:
        """A body without a length that goes on until nobody listens."""
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x" * 100_000)

    def _garbage(self) -> None:
        """No HTTP at all."""
        self.wfile.write(bytes(range(256)) * 4)

    def _silent(self) -> None:
        """Closes without a word."""

    def _hang(self) -> None:
        """Never answers; the other side has to go."""
        self.rfile.read(1)


@contextlib.contextmanager
def serve_pages(addresses: Sequence[str]) -> Iterator[int]:
    """Serves the pages at one port, which it gives, of each of these addresses."""
    port = 0
    with contextlib.ExitStack() as stack:
        for address in addresses:
            server = stack.enter_context(ThreadingHTTPServer((address, port), Pages))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            port = server.server_port
        yield port
