"""The old design: every view runs every check, in line, and blocks all others. ``old_inline.py PORT BOX``."""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

from tests.bench.checks import checks


def make_app(box: Path) -> web.Application:
    """Serves the status of a fake box."""
    found = checks(box)

    async def status(_: web.Request) -> web.Response:
        return web.json_response({name: check() for name, check in found.items()})

    app = web.Application()
    app.router.add_get("/metrics", status)
    return app


if __name__ == "__main__":
    port, directory = sys.argv[1:]
    web.run_app(make_app(Path(directory)), host="127.0.0.1", port=int(port), access_log=None, print=None)
