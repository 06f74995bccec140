"""The engine's API of a fake box: a socket, BOX/engine.sock, with what the fake docker shows."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.box import engine
from tests.box.box import FakeBox
from tests.box.quick import names, read

VERSION = "1.41"


def host(box: FakeBox) -> str:
    """Its address, for ``probes.containers.host``."""
    return f"unix://{box.directory}/engine.sock"


@contextlib.contextmanager
def served(box: FakeBox) -> Iterator[None]:
    """Serves the API meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = answer(box, self.path.partition("?")[0].removeprefix(f"/v{VERSION}"))
            self.send_response(status)
            self.send_header("Api-Version", VERSION)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True  # a kept connection must not hold up the end

    with Server(host(box).removeprefix("unix://"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer(box: FakeBox, path: str) -> tuple[int, bytes]:
    """The status and body of an answer."""
    folder = f"{box.directory}/docker/containers"
    if path == "/_ping":
        return 200, b"OK"
    if path == "/containers/json":
        engine.answer(str(box.directory), ["ps"])  # what the containers use moves on
        return 200, json.dumps(
            [_listed(json.loads(read(f"{folder}/{id_}"))) for id_ in names(folder)]
        ).encode()
    id_ = path.removeprefix("/containers/").removesuffix("/json")
    if id_ not in names(folder):
        return 404, json.dumps({"message": f"No such container: {id_}"}).encode()
    return 200, read(f"{folder}/{id_}").encode()


def _listed(container: dict[str, Any]) -> dict[str, Any]:
    state = container["State"]
    health = state.get("Health", {}).get("Status", "")
    status = f"{state['Status']} {state.get('StartedAt', '')}{f' ({health})' if health else ''}"
    return {"Id": container["Id"], "Names": [container["Name"]], "State": state["Status"], "Status": status}
