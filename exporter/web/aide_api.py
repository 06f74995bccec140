"""Reviewing and accepting over HTTP: the web process reads the summary and leaves a request, and no more.

Only the action's own token opens it. What root makes of the request shows in the report and the metrics.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web

from exporter.aide import accept_request as requests
from exporter.aide.accept import ID, offered
from exporter.aide.files import Paths
from exporter.aide.output import reason
from exporter.aide.state import Standing, standing
from exporter.probe import ProbeError
from exporter.web.aide_token import bearer, read_token, same
from exporter.web.bearer import authorization
from exporter.web.rate_limit import Limiter, client_key

REPORT = "/-/aide/report"
ACCEPT = "/-/aide/accept"

_AWAY = "the client went away"
_BODY_LIMIT = 1024
_BODY_SECONDS = 10.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

log = logging.getLogger(__name__)


class Action:
    """The two handlers and what they share. One stands for as long as its settings do.

    token_file: holds the token. paths: where the checks leave their summary. runtime: where the request goes.
    """

    def __init__(self, token_file: Path, paths: Paths, runtime: Path) -> None:
        self._token_file, self._paths, self._runtime = token_file, paths, runtime
        # Apart, so that a stranger behind the same proxy cannot shut the owner out.
        self._limits = {True: Limiter(burst=20, seconds=1), False: Limiter(burst=10, seconds=6)}

    async def report(self, request: web.Request) -> web.Response:
        """``GET``: the last check with its findings, the last attempt to accept, and what is under way."""
        return await self._guarded(request, self._report)

    async def accept(self, request: web.Request) -> web.Response:
        """``POST`` of ``{"id": …}``: leaves the request, 202; 409 where that ID is not on offer."""
        return await self._guarded(request, self._accept)

    async def _guarded(
        self, request: web.Request, handle: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.Response:
        """Lets only the token through, and logs every try with its address.

        What the limits turn away is logged once until they let somebody from there through again, and who
        goes away before the token was looked at counts as wrong: nobody without it may fill the log.
        """
        answer = ""
        try:
            await self._admit(request)
            answer = _AWAY
            response = await handle(request)
            answer = f"{response.status} {response.reason}"
        except _Refusal as refusal:
            response = refusal.response
            answer = "" if refusal.is_old else f"{response.status} {refusal}"
        except asyncio.CancelledError:
            if not answer and not self._limits[False].wait(client_key(request.remote)):
                answer = _AWAY
            raise
        finally:
            if answer:
                log.info("%s %s from %s: %s", request.method, request.path, request.remote, answer)
        return response

    async def _admit(self, request: web.Request) -> None:
        token = await self._token()
        given = bearer(authorization(request))
        right = isinstance(token, str) and given is not None and same(given, token)
        limit, where = self._limits[right], client_key(request.remote)
        is_old = limit.refuses(where)
        if seconds := limit.wait(where):
            raise _Refusal(429, "too many tries", {"Retry-After": str(seconds)}, is_old=is_old)
        if isinstance(token, ProbeError):
            log.warning("the AIDE action is shut: %s (%s)", token.reason, token.hint)
            raise _Refusal(503, "the action's token file cannot be used; the log says why")
        if given is None:
            raise _Refusal(401, "the action's token is needed", {"WWW-Authenticate": 'Bearer realm="aide"'})
        if not right:
            raise _Refusal(403, "that is not the action's token")

    async def _token(self) -> str | ProbeError:
        """The token, or why there is none: that shuts the action, and still counts as a try."""
        try:
            return await asyncio.to_thread(read_token, self._token_file)
        except ProbeError as error:
            return error

    async def _report(self, _: web.Request) -> web.Response:
        now, waiting = await self._standing()
        body = {"check": now.summary, "accept": now.outcome, "under_way": now.under_way, "requested": waiting}
        return _json(200, await asyncio.to_thread(msgspec.json.encode, body))

    async def _accept(self, request: web.Request) -> web.Response:
        id_ = await _asked(request)
        now, waiting = await self._standing()
        if now.under_way:
            raise _Refusal(409, f"{_NAMES[now.under_way]} is under way")
        if waiting:
            raise _Refusal(409, "a request is waiting (is grid-aide-accept.path running?)")
        _refuse_stale(id_, now)
        try:
            await asyncio.to_thread(requests.ask, self._runtime, id_)
        except FileExistsError as error:
            raise _Refusal(409, "a request is waiting") from error
        except OSError as error:
            log.warning("the AIDE action cannot leave its request: %s", reason(error))
            raise _Refusal(503, "the request could not be left; the log says why") from error
        return _json(202, msgspec.json.encode({"requested": id_}))

    async def _standing(self) -> tuple[Standing, bool]:
        try:
            now = await asyncio.to_thread(standing, self._paths)
        except (OSError, ValueError) as error:
            log.warning("the AIDE action cannot read what the last check left: %s", reason(error))
            raise _Refusal(503, "what the last check left cannot be read; the log says why") from error
        return now, requests.waiting(self._runtime)


_NAMES = {"check": "a check", "accept": "an accept"}


class _Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """is_old: it was said before, and need not be logged again."""

    def __init__(
        self, status: int, text: str, headers: dict[str, str] | None = None, *, is_old: bool = False
    ) -> None:
        super().__init__(text)
        self.is_old = is_old
        self.response = _json(status, json.dumps({"error": text}).encode(), headers)


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body + b"\n",
        content_type="application/json",
        headers={**_HEADERS, **(headers or {})},
    )


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    id: str


async def _asked(request: web.Request) -> str:
    """The ID that the request's body asks for; it may be cut off, of any encoding, or never come."""
    if request.content_type != "application/json":
        raise _Refusal(415, 'send JSON: {"id": "..."}')
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _body(request)
    except TimeoutError as error:
        raise _Refusal(408, "the body did not come") from error
    except (web.RequestPayloadError, OSError) as error:
        raise _Refusal(400, "the body did not come whole") from error
    try:
        id_ = msgspec.json.decode(body, type=_Asked).id
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Refusal(400, 'send JSON: {"id": "..."}') from error
    if not ID.fullmatch(id_):
        raise _Refusal(400, "an ID has 64 hex digits")
    return id_


async def _body(request: web.Request) -> bytes:
    body = b""
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise _Refusal(413, "that is too long")
    return body


def _refuse_stale(id_: str, now: Standing) -> None:
    try:
        summary = offered(id_, now.summary)
    except ProbeError as error:
        raise _Refusal(409, f"{error.reason} ({error.hint})") from error
    if summary.accepted is not None:
        raise _Refusal(409, "that ID is accepted already")


def mount(app: web.Application, current: Callable[[], Action | None]) -> None:
    """Adds the action's two paths, which are not there (404) while ``current`` gives None.

    The credentials of a scrape are not asked for here.
    """

    async def report(request: web.Request) -> web.Response:
        return await _current().report(request)

    async def accept(request: web.Request) -> web.Response:
        return await _current().accept(request)

    def _current() -> Action:
        action = current()
        if action is None:
            raise web.HTTPNotFound
        return action

    app.router.add_get(REPORT, report, allow_head=False)
    app.router.add_post(ACCEPT, accept)
