#!/usr/bin/python3
"""A proxy before Docker's socket, as root may run one: what the containers probe reads, and nothing else.

It runs in a box on its own, with the box's Python.
"""

import http.client
import http.server
import re
import socket

ALLOWED = re.compile(r"(/v[0-9.]+)?/(_ping|containers/json|containers/[0-9a-f]+/json)([?].*)?")
PASSED_ON = ("Content-Type", "Api-Version")


class Docker(http.client.HTTPConnection):
    """A connection to Docker's socket."""

    def connect(self) -> None:
        """Opens it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")


class Handler(http.server.BaseHTTPRequestHandler):
    """Knows GET and HEAD; every other method is answered with 501."""

    def do_GET(self) -> None:
        """Passes the request on, and the answer back."""
        if not ALLOWED.fullmatch(self.path):
            self.send_error(403)
            return
        docker = Docker("docker")
        docker.request(self.command, self.path)
        answer = docker.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name in PASSED_ON:
            self.send_header(name, answer.headers.get(name, ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - its name there


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", 2375), Handler).serve_forever()
