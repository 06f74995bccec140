"""Refuses requests for another host's name, where the exporter listens on loopback alone.

A web page on the internet may have its own name resolve to 127.0.0.1 (DNS rebinding): the browser of a person
on this machine then sends the page's requests here, and hands it the answers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache

from aiohttp import web

HINT = "a proxy in front of it should send localhost as the Host"


@web.middleware
async def check_host(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuses a Host that may be a page's.

    With TLS the browser does, by the certificate; a socket in the file system (no address) it can't reach.
    """
    host = host_name(request.headers.get("Host", ""))
    if is_local(host) or request.secure or not request.remote:
        return await handler(request)
    raise web.HTTPForbidden(text=f"This exporter listens on loopback alone and is not {host!r}; {HINT}.\n")


def host_name(header: str) -> str:
    """The name or address in a Host header, without its port."""
    bracketed, closed, _ = header.removeprefix("[").partition("]")
    return bracketed if closed else header.partition(":")[0].rstrip(".").lower()


def is_local(host: str) -> bool:
    """Whether no page can have this host: an address, this machine's name, one without a dot."""
    if "." not in host or host.endswith(".localhost") or _is_address(host):
        return True
    return host == socket.gethostname().lower()


@lru_cache(maxsize=64)  # nearly all requests are for the same
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
