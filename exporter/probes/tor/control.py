"""Tor's control port: a short conversation that asks Tor about itself.

What Tor reports there is its own view: with every relay dead it still reports an established circuit. Only
the probe's request shows whether Tor works; these values help to explain why it does not.
Anything may listen there, so replies are bounded in length, number and time.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from msgspec import Struct

from exporter.metrics.families import number
from exporter.probe import ProbeError
from exporter.probes.tor import cookie

LINE_LIMIT = 4096
LINES = 32
MOST_BYTES = 2.0**60
KEYWORDS = "version status/bootstrap-phase status/circuit-established traffic/read traffic/written"
HINT = "see that Tor runs and that this is the ControlPort or ControlSocket of its torrc"

ENDPOINT = re.compile(
    r"unix:(?P<path>/[^\x00-\x20\x7f]+)"
    r"|(?P<host>(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})"
)
VALUE = re.compile(r"^250-([a-z/-]+)=([^\r\n]*)", re.MULTILINE)
PROGRESS = re.compile(r"\bPROGRESS=(100|[0-9]{1,2})\b")


class Facts(Struct, frozen=True):
    """What Tor reports about itself; None for what is missing or invalid.

    bootstrap: 0 to 1. read, written: bytes since Tor started.
    """

    version: str | None = None
    bootstrap: float | None = None
    circuit: bool | None = None
    read: float | None = None
    written: float | None = None


def endpoint(text: str) -> tuple[str, int] | Path:
    """Reads where a port of Tor's is: ``host:port``, ``[ipv6]:port``, or ``unix:/path`` for a socket.

    Raises:
        ValueError: it is none of these.
    """
    match = ENDPOINT.fullmatch(text)
    if match and match["path"]:
        return Path(match["path"])
    if match and 0 < int(match["port"]) < 1 << 16:
        return match["host"].strip("[]"), int(match["port"])
    raise ValueError(f"expected host:port or unix:/path, got {text!r}")


def parse(reply: str) -> Facts:
    """Reads the answer to GETINFO."""
    values = dict(VALUE.findall(reply))
    progress = PROGRESS.search(values.get("status/bootstrap-phase", ""))
    return Facts(
        version=values.get("version", "").partition(" ")[0] or None,
        bootstrap=int(progress[1]) / 100 if progress else None,
        circuit={"0": False, "1": True}.get(values.get("status/circuit-established", "")),
        read=number(values.get("traffic/read", ""), most=MOST_BYTES),
        written=number(values.get("traffic/written", ""), most=MOST_BYTES),
    )


async def ask(where: str, seconds: float) -> Facts:
    """Asks the control port at ``where`` for everything, within ``seconds``.

    Raises:
        ProbeError: it can't be reached, refuses to authenticate, or does not speak the control protocol.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _converse(endpoint(where))
    except TimeoutError:
        raise ProbeError(f"Tor's control port {where} did not answer in {seconds:g} s", HINT) from None
    except OSError as error:
        hint = cookie.GROUP_HINT if isinstance(error, PermissionError) else HINT
        raise ProbeError(f"Tor's control port {where}: {_reason(error)}", hint) from error


def _reason(error: OSError) -> str:
    """The system's error message, which asyncio replaces by its own; a failed look-up has no errno."""
    code = error.errno or 0
    return os.strerror(code) if code > 0 else error.strerror or str(error)


async def _converse(where: tuple[str, int] | Path) -> Facts:
    if isinstance(where, Path):
        reader, writer = await asyncio.open_unix_connection(where, limit=LINE_LIMIT)
    else:
        reader, writer = await asyncio.open_connection(*where, limit=LINE_LIMIT)

    async def send(command: str) -> str:
        writer.write(f"{command}\r\n".encode())
        await writer.drain()
        return await _reply(reader, command.partition(" ")[0])

    try:
        await cookie.authenticate(send)
        return parse(await send(f"GETINFO {KEYWORDS}"))
    finally:
        writer.transport.abort()  # close() would wait for a peer that no longer reads


async def _reply(reader: asyncio.StreamReader, command: str) -> str:
    """Reads a whole reply, which must be a positive one.

    Raises:
        ProbeError: Tor refused, or what came is no reply.
        ConnectionError: the other side went away.
    """
    reply = ""
    for _ in range(LINES):
        line = await _line(reader)
        reply += line
        if line.startswith("250 "):
            return reply
        if not line.startswith("250-"):
            break
    raise ProbeError(f"Tor's control port answered {command} with {line.strip()[:100]!r}", cookie.HINT)


async def _line(reader: asyncio.StreamReader) -> str:
    try:
        line = await reader.readline()
    except ValueError:  # longer than LINE_LIMIT
        raise ProbeError("Tor's control port does not speak the control protocol", HINT) from None
    if not line.endswith(b"\n"):
        raise ConnectionError("it closed the connection")
    return line.decode("latin-1")
