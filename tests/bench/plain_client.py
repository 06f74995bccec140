"""The usual exporter: prometheus-client renders every scrape. ``plain_client.py PORT FIGURES``, a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Values:
    """Gives the same values at each scrape; nothing has to be found out."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._families


def make_app(text: str) -> web.Application:
    """Serves the values that a body in the text format holds."""
    registry = CollectorRegistry()
    registry.register(Values(text))
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    return app


if __name__ == "__main__":
    port, file = sys.argv[1:]
    app = make_app(Path(file).read_text("utf-8"))
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)
