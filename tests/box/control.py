"""The control port of a fake box's Tor: a socket, BOX/control, that answers as a recorded Tor did."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from collections.abc import Iterator

from tests.box.box import FakeBox
from tests.box.files import CAPTURES
from tests.box.waves import total

RECORDED = (CAPTURES / "tor/getinfo.txt").read_text("ascii")
PROTOCOL = '250-PROTOCOLINFO 1\n250-AUTH METHODS=NULL\n250-VERSION Tor="0.4.9.11"\n250 OK\n'
READ, WRITTEN = 90_000, 35_000  # bytes a second, the means
UP = 2 * 86400  # seconds that Tor has run when the box is made


@contextlib.contextmanager
def served(box: FakeBox) -> Iterator[None]:
    """Serves the control port of the box meanwhile."""
    started = box.now() - UP

    class Conversation(socketserver.StreamRequestHandler):
        """One client's questions, until it leaves. A Tor that is down leaves first."""

        def handle(self) -> None:
            while not (box.directory / "tor").read_text().startswith("down") and (
                line := self.rfile.readline()
            ):
                self.wfile.write(answer(line.decode("ascii", "replace"), started, box.now()))

    with socketserver.ThreadingUnixStreamServer(f"{box.directory}/control", Conversation) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer(line: str, started: float, moment: float) -> bytes:
    """What Tor answers to a line."""
    command = line.split(" ", maxsplit=1)[0].strip()
    traffic = {"read": READ, "written": WRITTEN}
    answers = {
        "PROTOCOLINFO": PROTOCOL,
        "AUTHENTICATE": "250 OK\n",
        "GETINFO": re.sub(
            r"traffic/(read|written)=\d+",
            lambda found: f"traffic/{found[1]}={total(found[1], started, moment, traffic[found[1]]):.0f}",
            RECORDED,
        ),
    }
    return answers.get(command, "510 Unrecognized command\n").replace("\n", "\r\n").encode("ascii")
