"""Stands in for ntfy: takes what Alertmanager posts, and fills in the templates of the address.

ntfy reads the templates from the query, and the values from the JSON that is posted. amtool renders them
here, by the same engine: its fields are those of the JSON, with a capital letter.
"""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FIELD = re.compile(r"(?<=\.)(?:status|alerts|annotations|groupLabels)\b")
TRUNCATED = re.compile(r"\{\{with \.truncatedAlerts\}\}(.*?)\{\{end\}\}", re.DOTALL)  # which amtool lacks


@dataclass(frozen=True, slots=True)
class Message:
    """What a phone would show."""

    priority: str
    title: str
    text: str


@dataclass(slots=True)
class Ntfy:
    """The server's address, and what was sent to it, in order."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)


def render(template: str, posted: dict[str, Any], folder: Path) -> str:
    """A template of the address, filled in with what was posted."""
    count = posted.get("truncatedAlerts", 0)
    template = TRUNCATED.sub(lambda more: more[1].replace("{{.}}", str(count)) if count else "", template)
    template = FIELD.sub(lambda name: name[0][:1].upper() + name[0][1:], template)
    data, empty = folder / "posted.json", folder / "empty.tmpl"
    data.write_text(json.dumps(posted))
    empty.write_text("")
    argv = ["amtool", "template", "render", f"--template.glob={empty}", f"--template.data={data}"]
    done = subprocess.run([*argv, f"--template.text={template}"], capture_output=True, text=True, check=True)
    return done.stdout.removesuffix("\n")


@contextmanager
def ntfy(folder: Path) -> Iterator[Ntfy]:
    """Listens on loopback."""
    received = Ntfy()

    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes one message a request."""

        def do_POST(self) -> None:
            posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            assert query["template"] == "yes"
            parts = [render(query[name], posted, folder) for name in ("priority", "title", "message")]
            received.messages.append(Message(*parts))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs no request."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
