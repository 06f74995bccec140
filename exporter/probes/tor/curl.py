"""A request through Tor's SOCKS port by curl: how it is made, and what came back."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from exporter.metrics.families import number
from exporter.probes.tor.control import endpoint
from exporter.system.subprocesses import Output

BODY_LIMIT = 64 * 1024
OUTPUT_LIMIT = 2 * BODY_LIMIT  # ends a body without a length, which curl before 8.4 takes without end
HTTP_OK = 200
MOST_SECONDS = 86400.0

# What curl's exit status means for Tor where no HTTP status came. True: Tor carried the request, the far side
# failed. What is not here (no memory, no https, an unknown host for the SOCKS port) means nothing for Tor.
CARRIED = {
    7: False,  # nothing listens on the SOCKS port
    28: False,  # no answer in time
    97: False,  # the SOCKS port did not connect us, or is none
    16: True,  # HTTP/2 broke
    35: True,  # the TLS handshake broke
    52: True,  # the far side closed without a reply
    55: True,  # the connection broke as we sent
    56: True,  # the connection broke as we read
    60: True,  # a certificate that is not trusted
}
REPLY = re.compile(r"SOCKS5 connection to .* \(([0-9]{1,3})\)$")
EXIT_REPLIES = (4, 5)  # the exit's own: it can't resolve the page's name, or the page refused it
WRITE_OUT = r"\n%{http_code} %{time_total}"  # the last line of curl's output, whatever the body was
WRITTEN_OUT = re.compile(r"([0-9]{3}) ([0-9.]+)")


class Answer(Struct, frozen=True):
    """The outcome of a request.

    up: whether Tor carried it, None where that is unknown. seconds: how long it took.
    is_tor, address: what the page reported. error: what went wrong, for a person. reply: the SOCKS reply
    with which Tor refused the request.
    """

    up: bool | None
    seconds: float | None = None
    is_tor: bool | None = None
    address: str | None = None
    error: str = ""
    reply: int | None = None


def curl(socks: str, url: str, seconds: float) -> list[str]:
    """The command: no configuration file, no other protocol, no redirect, and names are resolved by Tor."""
    where = endpoint(socks)
    proxy = f"localhost{quote(str(where))}" if isinstance(where, Path) else socks
    return [
        "curl", "-q", "--silent", "--show-error", "--globoff", "--proto", "=http,https",
        "--max-time", f"{seconds:.3f}", "--max-filesize", str(BODY_LIMIT),
        "--write-out", WRITE_OUT, "--proxy", f"socks5h://{proxy}", url,
    ]  # fmt: skip


def parse(output: Output) -> Answer:
    """Reads curl's output. An HTTP status is proof that Tor carried the request."""
    body, _, last = output.text.rpartition("\n")
    written = WRITTEN_OUT.fullmatch(last) if output.code >= 0 else None
    status, seconds = (int(written[1]), number(written[2], most=MOST_SECONDS)) if written else (0, None)
    if not status:
        return _read_failure(output)
    if output.code:
        return Answer(up=True, seconds=seconds, error=output.error_message)
    if status != HTTP_OK:
        return Answer(up=True, seconds=seconds, error=f"HTTP status {status}")
    return _read_page(body, seconds)


def _read_failure(output: Output) -> Answer:
    if not output.code:
        return Answer(None, error="it printed no HTTP status")
    match = REPLY.search(output.error_message)
    reply = int(match[1]) if match else None
    carried = True if reply in EXIT_REPLIES else CARRIED.get(output.code)
    return Answer(carried, error=output.error_message, reply=reply)


def _read_page(body: str, seconds: float | None) -> Answer:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        return Answer(up=True, seconds=seconds, error="no JSON")
    is_tor = page.get("IsTor") if isinstance(page, dict) else None
    if not isinstance(is_tor, bool):
        return Answer(up=True, seconds=seconds, error="JSON without IsTor")
    return Answer(up=True, seconds=seconds, is_tor=is_tor, address=_address(page.get("IP")))


def _address(text: object) -> str | None:
    """An IP address in its one usual form; None for anything else."""
    if not isinstance(text, str) or "%" in text:  # a zone would be free text
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
