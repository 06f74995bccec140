"""The HTTP interface: /metrics for Prometheus, / for a person, /-/healthy and /-/ready for a supervisor."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path

from aiohttp import HttpVersion10, HttpVersion11, web

from exporter.aide.accept_request import runtime_directory
from exporter.aide.files import Paths
from exporter.engine.exporter import Exporter
from exporter.web.aide_api import Action, mount
from exporter.web.auth import Auth
from exporter.web.shared_response import Message, SharedResponse

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
PLAIN = {"Content-Type": TEXT_FORMAT, "Vary": "Accept-Encoding"}
GZIPPED = {**PLAIN, "Content-Encoding": "gzip"}
TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
SPARE = 0.5  # seconds of Prometheus's own timeout that are left for the answer's way back
BODY_LIMIT = 4096  # bytes; what is sent here is an ID at most
PAGE_TIMEOUT = 2.0  # seconds that the page waits for quick probes


def make_app(exporter: Exporter, auth: Auth | None = None) -> web.Application:
    """The application that serves this exporter to everyone, or to those whom ``auth`` lets in."""
    auth = auth or Auth(None)
    handlers = _Handlers(exporter, auth)
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_check_version])
    auth.install(app)
    exporter.own.web_reload = auth.reload
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_get("/", handlers.page)
    app.router.add_get("/-/healthy", handlers.healthy)
    app.router.add_get("/-/ready", handlers.ready)
    mount(app, _active_action(exporter))
    return app


@web.middleware
async def _check_version(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuses HTTP/0.9 and 2.0, whose request lines the parser takes."""
    if request.version not in (HttpVersion10, HttpVersion11):
        raise web.HTTPVersionNotSupported(text="HTTP/1.0 or 1.1, please.\n")
    return await handler(request)


def _active_action(exporter: Exporter) -> Callable[[], Action | None]:
    """Gives AIDE's action where it is on; one for as long as its settings stay, since it counts tries."""
    held: tuple[object, Action | None] = (None, None)

    def current() -> Action | None:
        nonlocal held
        settings = exporter.plan.settings.get("aide")
        if settings != held[0]:
            held = (settings, _action(settings.action_token_file, settings.state) if settings else None)
        return held[1]

    return current


def _action(token_file: str | None, state: str) -> Action | None:
    return Action(Path(token_file), Paths(Path(state)), runtime_directory()) if token_file else None


class _Handlers:
    def __init__(self, exporter: Exporter, auth: Auth) -> None:
        self._exporter = exporter
        self._auth = auth
        # The newest of each encoding, with what it was made of.
        self._messages: dict[bool, tuple[bytes, Mapping[str, str], Message]] = {}

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        compress = takes_gzip(request.headers.get("Accept-Encoding", ""))
        asked = request.query.getall("collect[]", []) if request.query_string else ()
        scraper, names = self._exporter.scraper, dict.fromkeys(asked)
        try:
            body = scraper.kept(names, compress=compress)
            if body is None:
                body = await scraper.scrape(names, max_wait(request), compress=compress)
        except KeyError as unknown:
            return web.Response(status=400, text=f"collect[]: there is no probe {unknown.args[0]!r} here\n")
        return SharedResponse(self._message(body, compress=compress))

    def _message(self, body: bytes, *, compress: bool) -> Message:
        """This body's message: the last one, where both it and what every answer carries are the same."""
        common = self._auth.headers
        kept = self._messages.get(compress)
        if kept is None or kept[0] is not body or kept[1] is not common:
            headers = {**common, **(GZIPPED if compress else PLAIN)}
            kept = self._messages[compress] = body, common, Message(body, headers)
        return kept[2]

    async def page(self, _: web.Request) -> web.Response:
        from exporter.status import page  # noqa: PLC0415 - not before somebody looks

        cache = self._exporter.cache
        await cache.refresh(cache.runners.values(), PAGE_TIMEOUT)
        body = page.status_page(self._exporter)
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=page.HEADERS)

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="healthy\n")

    async def ready(self, _: web.Request) -> web.Response:
        if self._exporter.ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: the first runs are under way\n")


@lru_cache(maxsize=64)  # nearly all scrapers send the same
def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (``gzip;q=0`` forbids it)."""
    for part in accepted.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def max_wait(request: web.Request) -> float:
    """Seconds that the client can wait: Prometheus sends its timeout; others have no limit."""
    try:
        seconds = float(request.headers.get(TIMEOUT_HEADER, "inf"))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(seconds) else max(0.0, seconds - SPARE)
