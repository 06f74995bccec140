"""aiohttp, loaded without the certificates of this machine, which it reads twice when it is imported.

They take 40 ms, an eighth of the exporter's start, and few exporters ask anybody by https.
"""

from __future__ import annotations

import ssl
import threading
from importlib import import_module

from exporter.system.threads import import_in_thread, run_in_thread

_CERTIFICATES = "set_default_verify_paths"  # what reads them
_importing = threading.Lock()
_context: ssl.SSLContext | None = None


async def load() -> None:
    """Imports aiohttp in a thread. Its own TLS contexts trust nobody: pass `verifying_context` where needed.

    Raises:
        ProbeError: as ``import_in_thread``.
    """
    await import_in_thread("aiohttp", _import_aiohttp)


def _import_aiohttp(name: str) -> None:
    with _importing:
        setattr(ssl.SSLContext, _CERTIFICATES, lambda _: None)
        try:
            import_module(name)
        finally:
            delattr(ssl.SSLContext, _CERTIFICATES)  # the class's own; what it inherits is there again


async def verifying_context() -> ssl.SSLContext:
    """A client's TLS context that trusts whom this machine trusts; read once.

    Raises:
        ProbeError: as ``run_in_thread``.
    """
    global _context  # noqa: PLW0603 - as aiohttp, which makes it when it is imported
    if _context is None:
        _context = await run_in_thread(_new_context)
    return _context


def _new_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context
