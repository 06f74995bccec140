"""The limit: a bare aiohttp handler that returns the same bytes. ``bare.py PORT PLAIN GZIP``, two files."""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

# Not imported from the exporter: its memory is compared with this.
HEADERS = {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


def make_app(plain: bytes, compressed: bytes) -> web.Application:
    """Serves these bytes."""

    async def metrics(request: web.Request) -> web.Response:
        if request.headers.get("Accept-Encoding") == "gzip":
            return web.Response(body=compressed, headers={**HEADERS, "Content-Encoding": "gzip"})
        return web.Response(body=plain, headers=HEADERS)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


if __name__ == "__main__":
    port, *files = sys.argv[1:]
    app = make_app(*(Path(file).read_bytes() for file in files))
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)
