"""How a request carries a bearer token."""

from __future__ import annotations

from aiohttp import web


def authorization(request: web.Request) -> str:
    """The request's Authorization; empty where it has several, which servers read differently."""
    values = request.headers.getall("Authorization", [])
    return values[0] if len(values) == 1 else ""
