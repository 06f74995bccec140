"""Authenticates at Tor's control port with its cookie, a file of 32 bytes that Tor's group may read.

The port names the file and may be anybody's. So a file that can't be a cookie is not even opened, and the
cookie is never sent: each side proves to the other that it knows it (SAFECOOKIE), the other side first.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from exporter.probe import ProbeError
from exporter.system.threads import run_in_thread

SIZE = 32
HINT = "put CookieAuthentication 1 into torrc and reload Tor"
EITHER_HINT = (
    "put CookieAuthentication 1 into torrc beside HashedControlPassword, and reload Tor: it then takes either"
)
GROUP_HINT = (
    "add the service's user to Tor's group (sudo make install GROUPS=debian-tor), and put "
    "CookieAuthFileGroupReadable 1 into torrc"
)

AUTH = re.compile(r'^250-AUTH METHODS=([A-Z,]+)(?: COOKIEFILE="((?:[^"\\]|\\.)*)")?', re.MULTILINE)
CHALLENGE = re.compile(r"250 AUTHCHALLENGE SERVERHASH=([0-9A-Fa-f]{64}) SERVERNONCE=([0-9A-Fa-f]{64})\s")


def parse(reply: str) -> tuple[list[str], str]:
    """Reads PROTOCOLINFO's answer: the methods, and the cookie's path (``""``: none)."""
    match = AUTH.search(reply)
    if not match:
        return [], ""
    path = re.sub(r"\\([0-7]{3}|.)", _unescape, match[2] or "")
    return match[1].split(","), os.fsdecode(path.encode("latin-1"))


def _unescape(match: re.Match[str]) -> str:
    return match[1] if len(match[1]) == 1 else chr(int(match[1], 8) & 0xFF)


async def authenticate(send: Callable[[str], Awaitable[str]]) -> None:
    """Authenticates through ``send``, which sends a command and returns the whole positive reply.

    Raises:
        ProbeError: Tor wants something else than its cookie, the cookie can't be read, or is not this port's.
    """
    methods, path = parse(await send("PROTOCOLINFO 1"))
    if "NULL" in methods:
        await send("AUTHENTICATE")
        return
    if "SAFECOOKIE" not in methods or not path.startswith("/"):
        offered = ", ".join(methods)[:100] or "nothing"
        hint = EITHER_HINT if "HASHEDPASSWORD" in methods else HINT
        raise ProbeError(f"Tor's control port offers no cookie to authenticate with, but {offered}", hint)
    cookie = await run_in_thread(_read, Path(path))
    nonce = secrets.token_bytes(32)
    challenge = CHALLENGE.match(await send(f"AUTHCHALLENGE SAFECOOKIE {nonce.hex()}"))
    proof, salt = (bytes.fromhex(part) for part in challenge.groups()) if challenge else (b"", b"")
    message = cookie + nonce + salt
    if not hmac.compare_digest(proof, _prove("server-to-controller", message)):
        raise ProbeError(
            f"Tor's control port does not know the cookie in {path!r:.200}",
            "see that no other program listens there, and that each Tor has a CookieAuthFile of its own",
        )
    await send(f"AUTHENTICATE {_prove('controller-to-server', message).hex()}")


def _prove(direction: str, message: bytes) -> bytes:
    key = f"Tor safe cookie authentication {direction} hash"
    return hmac.digest(key.encode(), message, hashlib.sha256)


def _read(path: Path) -> bytes:
    """Reads the cookie, if it can be one: merely to open a device or a FIFO can do harm.

    Raises:
        ProbeError: it is not there, not ours to read, or no cookie.
    """
    try:
        _check(path.stat())
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check(os.fstat(file.fileno()))
            return file.read(SIZE)
    except (OSError, ValueError) as error:  # Python raises the latter too: a path may hold a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        hint = GROUP_HINT if isinstance(error, PermissionError) else HINT
        raise ProbeError(f"Tor's cookie {str(path)!r:.200}: {reason}", hint) from error


def _check(file: os.stat_result) -> None:
    if not stat.S_ISREG(file.st_mode) or file.st_size != SIZE:
        raise ValueError(f"no file of {SIZE} bytes")
