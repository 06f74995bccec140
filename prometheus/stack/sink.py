"""Receives what Alertmanager would send to a phone."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

Alert = dict[str, Any]


@contextlib.contextmanager
def received(take: Callable[[str, Alert], None]) -> Iterator[str]:
    """Listens on loopback; yields the URL. ``take`` gets each receiver's name and each alert sent to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes one notification a request."""

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in sent["alerts"]:
                take(self.path.strip("/"), alert)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs no request."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def in_words(receiver: str, alert: Alert) -> str:
    """An alert in one line."""
    labels, summary = alert["labels"], alert["annotations"].get("summary", "")
    return (
        f"{alert['status']:8} {labels.get('severity', ''):8} {labels['alertname']}: {summary} (to {receiver})"
    )
