"""The old design as it was mended: checks run in a pool of threads, and what is slow is kept for a while.

``old_pooled.py PORT BOX``. A view still waits for every check; those of the cards, containers and services
are what it wants to see live, so they run for each view. A kept value that is too old is found out again by
every view that notices.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from tests.bench.checks import Check, checks

WORKERS = 8
KEPT = {"disk": 60.0, "tor": 60.0, "aide": 60.0}  # seconds


def make_app(box: Path) -> web.Application:
    """Serves the status of a fake box."""
    found = checks(box)
    pool = ThreadPoolExecutor(WORKERS)
    kept: dict[str, tuple[float, object]] = {}

    async def value(name: str, check: Check) -> object:
        until, value = kept.get(name, (0.0, None))
        if time.monotonic() >= until:
            value = await asyncio.get_running_loop().run_in_executor(pool, check)
            kept[name] = time.monotonic() + KEPT.get(name, 0), value
        return value

    async def status(_: web.Request) -> web.Response:
        values = await asyncio.gather(*(value(name, check) for name, check in found.items()))
        return web.json_response(dict(zip(found, values, strict=True)))

    app = web.Application()
    app.router.add_get("/metrics", status)
    return app


if __name__ == "__main__":
    port, directory = sys.argv[1:]
    web.run_app(make_app(Path(directory)), host="127.0.0.1", port=int(port), access_log=None, print=None)
