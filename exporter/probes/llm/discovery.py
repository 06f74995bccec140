"""Which servers of language models listen on this host."""

from __future__ import annotations

import asyncio
import os

from exporter.probe import Host
from exporter.probes.llm import identify
from exporter.probes.llm.client import Client, Failure, new_session
from exporter.probes.llm.processes import COMMANDS, PORTS, Listener, listeners
from exporter.system import http_library
from exporter.system.threads import run_in_thread

TIMEOUT = 3.0  # seconds, for each of them
ASKED = 16  # sockets at most
NAMED = identify.NAMES.keys() - {"openai"}  # which may be anything, and is asked where it is configured


async def find_servers(host: Host) -> list[tuple[str, str]]:
    """The kind and the URL of each server that answers as one.

    Who listens on a usual port, or has a server's name, is asked, by at most three requests that are
    harmless to all; the answer alone decides.
    """
    every = await run_in_thread(listeners, host)
    candidates = [it for it in every if _is_candidate(it)][:ASKED]
    kinds = await asyncio.gather(*(_identify(it) for it in candidates))
    servers: dict[str, tuple[str, str]] = {}
    for kind, listener in zip(kinds, candidates, strict=True):
        if kind in NAMED:  # one that listens for IPv4 and IPv6 is one server
            servers.setdefault(f"{kind}:{listener.port}", (kind, url(listener)))
    return list(servers.values())


def url(listener: Listener) -> str:
    """Where to ask it."""
    return f"http://{listener.address}:{listener.port}"


def _is_candidate(listener: Listener) -> bool:
    return listener.pid != os.getpid() and (listener.port in PORTS or listener.command in COMMANDS)


async def _identify(listener: Listener) -> str:
    await http_library.load()
    try:
        async with asyncio.timeout(TIMEOUT), new_session() as session:
            client = Client(session, url(listener), identify.PATHS)
            return await identify.identify(client, listener.port)
    except (Failure, TimeoutError):
        return ""
