"""Bearer tokens, of a scrape and of the AIDE action: what is one, and how a request carries it."""

from __future__ import annotations

from aiohttp import web

LEAST = 32  # characters: the guesses at a scrape's token are not limited
MOST = 4096
WANTED = f"a word of at least {LEAST} printable ASCII characters, as from: openssl rand -hex 32"


def token_in(data: bytes) -> bytes | None:
    """The token in a file's content, without the blanks around it; None where it is no token."""
    token = data.strip()
    is_word = all(0x20 < byte < 0x7F for byte in token)  # noqa: PLR2004 - blank and delete
    return token if is_word and LEAST <= len(token) <= MOST else None


def authorization(request: web.Request) -> str:
    """The request's Authorization; empty where it has several, which servers read differently."""
    values = request.headers.getall("Authorization", [])
    return values[0] if len(values) == 1 else ""
