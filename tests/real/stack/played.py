"""Plays days to a real Alertmanager with the shipped configuration, and collects what a person gets.

The alerts come from `tests.prometheus.timeline`. They are posted as Prometheus posts them, and everything is
TIMES quicker: the days, and the waits and intervals of the configuration. The hours of the configuration are
as shipped: Alertmanager's own time zone is one whose clock runs as quickly as the days do. ntfy and the mail
server are one receiver on loopback.
"""

from __future__ import annotations

import http.server
import json
import math
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import yaml

from prometheus.stack import copies, programs
from prometheus.stack.program import address
from tests.prometheus.timeline import Firing
from tests.real import ntfy
from tests.real.stack import hurry

TIMES = 900  # a quarter of an hour is a second
SECOND = TIMES / 60  # in minutes of the days
LEAD = 10  # seconds until the days begin: Alertmanager starts meanwhile
BEFORE, AFTER = 5, 30  # minutes around alerts; the rest, in which nothing fires, is left out
FOR_EVER = "2100-01-01T00:00:00Z"


class Message(NamedTuple):
    """One that a person got.

    priority: ntfy's, or ``mail``. minute: of the days, when it came.
    """

    priority: str
    alert: str
    instance: str
    minute: int


class Change(NamedTuple):
    """A minute in which alerts begin or end."""

    minute: int
    begin: list[Firing]
    end: list[Firing]


def play(
    folder: Path, firings: Sequence[Firing], begins: int, length: int, config: Path | None = None
) -> list[Message]:
    """Plays alerts, each in its minute, and returns every message, in order.

    Args:
        folder: an empty directory.
        firings: what fires and when.
        begins: the minute of the day that is their minute 0.
        length: how many minutes are played.
        config: Alertmanager's, if not the shipped one.
    """
    minutes = _played(firings, length)
    with _received() as (url, posts):
        _configure(folder, url, config)
        start = int(time.time()) + LEAD
        zone = folder / "zone"
        zone.write_bytes(_zone(start, [begins + minute for minute in minutes]))
        with programs.alertmanager(folder, address(), {"TZ": f"{zone}"}) as alertmanager:
            done, before = time.time(), 0
            for change in _changes(firings, minutes[-1]):
                at = minutes.index(change.minute)
                # What came late is made up for, but no stretch is shorter than half of what it should be.
                due = max(start + at / SECOND, done + (at - before) / SECOND / 2)
                time.sleep(max(due - time.time(), 0))
                _post(alertmanager.url, change)
                done, before = time.time(), at
            alertmanager.check()
    return [
        _message(minutes[min(round((at - start) * SECOND), len(minutes) - 1)], url, posted, folder)
        for at, url, posted in posts
    ]


def _played(firings: Sequence[Firing], length: int) -> list[int]:
    """The minutes that are played: those in which something fires, and a few around them."""
    spans = [(it.start - BEFORE, (it.end or length) + AFTER) for it in firings]
    return [at for at in range(length) if any(start <= at < end for start, end in spans)] or [0]


def _changes(firings: Sequence[Firing], last: int) -> list[Change]:
    """What is posted and when; in the last minute nothing is."""
    minutes = {it.start for it in firings} | {it.end for it in firings if it.end} | {last}
    return [
        Change(at, [it for it in firings if it.start == at], [it for it in firings if it.end == at])
        for at in sorted(minutes)
        if at <= last
    ]


def _post(url: str, change: Change) -> None:
    """Posts alerts as Prometheus does."""
    now = datetime.now(UTC).isoformat()
    alerts = [{"labels": it.labels, "startsAt": now, "endsAt": FOR_EVER} for it in change.begin]
    alerts += [{"labels": it.labels, "endsAt": now} for it in change.end]
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v2/alerts", json.dumps(alerts).encode(), headers)
    urllib.request.urlopen(request, timeout=60).close()


def _configure(folder: Path, url: str, config: Path | None) -> None:
    """Writes the configuration, with our receiver for ntfy and the mail server, and quicker."""
    text = (config or copies.PROJECT / "prometheus/alertmanager.yml").read_text("utf-8")
    written = yaml.safe_load(text.replace("https://ntfy.example.org", url))
    for receiver in written["receivers"]:
        for email in receiver.pop("email_configs", []):
            mail = {"url": f"{url}/mail", "send_resolved": email.get("send_resolved", False)}
            receiver.setdefault("webhook_configs", []).append(mail)
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(written, sort_keys=False), "utf-8")
    hurry.routes_by(path, TIMES)


def _zone(start: int, minutes: Sequence[int]) -> bytes:
    """A time zone (TZif) whose clock shows these minutes, each for as long as it is played.

    It is moved each second, from a start on.
    """
    seconds = range(math.ceil(len(minutes) / SECOND))
    clock = [minutes[int(second * SECOND)] * 60 % 86400 for second in seconds]
    offsets = [local - (start + second) % 86400 for second, local in zip(seconds, clock, strict=True)]
    kinds = sorted(set(offsets))
    header = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, len(seconds), len(kinds), 4)
    moments = struct.pack(f">{len(seconds)}l", *(start + second for second in seconds))
    indexes = bytes(kinds.index(offset) for offset in offsets)
    return header + moments + indexes + b"".join(struct.pack(">lBB", it, 0, 0) for it in kinds) + b"BOX\0"


@contextmanager
def _received() -> Iterator[tuple[str, list[tuple[float, str, dict[str, Any]]]]]:
    """Takes what is sent: the time, the address and the content of each message."""
    posts: list[tuple[float, str, dict[str, Any]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes one message a request."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posts.append((time.time(), self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs no request."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posts
        finally:
            server.shutdown()
            thread.join()


def _message(minute: int, url: str, posted: dict[str, Any], folder: Path) -> Message:
    """What a person sees of a message; ntfy fills in the template of the priority in its address."""
    asked = parse_qs(urlsplit(url).query)
    priority = "mail" if url == "/mail" else asked.get("priority", ["default"])[0]
    if "{{" in priority:
        priority = ntfy.render(priority, posted, folder)
    labels = posted["groupLabels"]
    return Message(priority, labels["alertname"], labels.get("instance", ""), minute)
