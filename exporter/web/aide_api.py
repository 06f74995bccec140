"""Reviewing and accepting over HTTP: the exporter reads the summary and writes a request, and no more.

It requires the action's own token. The request carries a proof that only root can verify, so that whoever
takes over the exporter can accept nothing. Its outcome is in the report and the metrics.
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
from exporter.aide.accept import offered
from exporter.aide.files import Paths
from exporter.aide.output import describe
from exporter.aide.state import State, load_state
from exporter.aide.summary import read_json
from exporter.probe import ProbeError
from exporter.web.aide_token import bearer, read_token, same
from exporter.web.bearer import authorization
from exporter.web.rate_limit import Limiter, client_key

REPORT = "/-/aide/report"
SUMMARY = "/-/aide/summary"
ACCEPT = "/-/aide/accept"

_EXPECTED = 'send JSON: {"id": "...", "proof": "..."}, each of 64 hex digits'
_AWAY = "the client disconnected"
_BODY_LIMIT = 1024
_BODY_SECONDS = 10.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

log = logging.getLogger(__name__)


class Action:
    """The handlers and what they share. One lives as long as its settings are active.

    token_file: holds the token. paths: the files of the checks. runtime: the directory for the request.
    """

    def __init__(self, token_file: Path, paths: Paths, runtime: Path) -> None:
        self._token_file, self._paths, self._runtime = token_file, paths, runtime
        # One for each, so that a stranger behind the same proxy cannot lock the owner out.
        self._limits = {True: Limiter(burst=20, seconds=1), False: Limiter(burst=10, seconds=6)}

    async def report(self, request: web.Request) -> web.Response:
        """``GET``: the last check with its findings, the last attempt to accept, and what is under way."""
        return await self._guarded(request, self._report)

    async def summary(self, request: web.Request) -> web.Response:
        """``GET``: the last check as root wrote it, byte for byte: what a proof is made of."""
        return await self._guarded(request, self._summary)

    async def accept(self, request: web.Request) -> web.Response:
        """``POST`` of ``{"id": …, "proof": …}``: writes the request, 202; 409 where that ID is stale."""
        return await self._guarded(request, self._accept)

    async def _guarded(
        self, request: web.Request, handle: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.Response:
        """Requires the token, and logs every request with its address.

        A client over its limit is logged once until it is below again, and one that disconnects before its
        token was compared counts as wrong: nobody without the token may fill the log.
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
            raise _Refusal(429, "too many requests", {"Retry-After": str(seconds)}, is_old=is_old)
        if isinstance(token, ProbeError):
            log.warning("the AIDE action is not available: %s (%s)", token.reason, token.hint)
            raise _Refusal(503, "the action's token file cannot be used; see the log")
        if given is None:
            raise _Refusal(401, "the action's token is needed", {"WWW-Authenticate": 'Bearer realm="aide"'})
        if not right:
            raise _Refusal(403, "that is not the action's token")

    async def _token(self) -> str | ProbeError:
        """The token, or why there is none; the request is limited all the same."""
        try:
            return await asyncio.to_thread(read_token, self._token_file)
        except ProbeError as error:
            return error

    async def _report(self, _: web.Request) -> web.Response:
        state, waiting = await self._state()
        body = {
            "check": state.summary,
            "accept": state.outcome,
            "under_way": state.under_way,
            "requested": waiting,
        }
        return _json(200, await asyncio.to_thread(msgspec.json.encode, body) + b"\n")

    async def _summary(self, _: web.Request) -> web.Response:
        try:
            return _json(200, await asyncio.to_thread(read_json, self._paths.summary))
        except FileNotFoundError as error:
            raise _Refusal(404, "no check has run yet") from error
        except OSError as error:
            raise _unreadable(error) from error

    async def _accept(self, request: web.Request) -> web.Response:
        requested = await _requested(request)
        state, waiting = await self._state()
        if state.under_way:
            raise _Refusal(409, f"{_NAMES[state.under_way]} is under way")
        if waiting:
            raise _Refusal(409, "a request is waiting (is grid-aide-accept.path running?)")
        _refuse_stale(requested.id, state)
        try:
            await asyncio.to_thread(requests.leave, self._runtime, requested)
        except FileExistsError as error:
            raise _Refusal(409, "a request is waiting") from error
        except OSError as error:
            log.warning("the AIDE action cannot write its request: %s", describe(error))
            raise _Refusal(503, "the request could not be written; see the log") from error
        return _json(202, msgspec.json.encode({"requested": requested.id}) + b"\n")

    async def _state(self) -> tuple[State, bool]:
        try:
            state = await asyncio.to_thread(load_state, self._paths)
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error
        return state, requests.waiting(self._runtime)


_NAMES = {"check": "a check", "accept": "an accept"}


class _Refusal(Exception):  # noqa: N818 - a response, not a fault
    """A response with an error. is_old: it was logged before, and need not be again."""

    def __init__(
        self, status: int, text: str, headers: dict[str, str] | None = None, *, is_old: bool = False
    ) -> None:
        super().__init__(text)
        self.is_old = is_old
        self.response = _json(status, json.dumps({"error": text}).encode() + b"\n", headers)


def _unreadable(error: OSError | ValueError) -> _Refusal:
    log.warning("the AIDE action cannot read the result of the last check: %s", describe(error))
    return _Refusal(503, "the result of the last check cannot be read; see the log")


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        headers={**_HEADERS, **(headers or {})},
    )


async def _requested(request: web.Request) -> requests.Request:
    """The ID and the proof in the request's body, which may be cut off, of any encoding, or never arrive."""
    if request.content_type != "application/json":
        raise _Refusal(415, _EXPECTED)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _body(request)
    except TimeoutError as error:
        raise _Refusal(408, "the body did not arrive") from error
    except (web.RequestPayloadError, OSError) as error:
        raise _Refusal(400, "the body is incomplete") from error
    try:
        return msgspec.json.decode(body, type=requests.Request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Refusal(400, _EXPECTED) from error


async def _body(request: web.Request) -> bytes:
    body = b""
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise _Refusal(413, "the body is too long")
    return body


def _refuse_stale(id_: str, state: State) -> None:
    try:
        summary = offered(id_, state.summary)
    except ProbeError as error:
        raise _Refusal(409, f"{error.reason} ({error.hint})") from error
    if summary.accepted is not None:
        raise _Refusal(409, "that ID is accepted already")


def mount(app: web.Application, current: Callable[[], Action | None]) -> None:
    """Adds the action's paths, which do not exist (404) while ``current`` returns None.

    They don't require the credentials of a scrape.
    """

    async def report(request: web.Request) -> web.Response:
        return await _current().report(request)

    async def summary(request: web.Request) -> web.Response:
        return await _current().summary(request)

    async def accept(request: web.Request) -> web.Response:
        return await _current().accept(request)

    def _current() -> Action:
        action = current()
        if action is None:
            raise web.HTTPNotFound
        return action

    app.router.add_get(REPORT, report, allow_head=False)
    app.router.add_get(SUMMARY, summary, allow_head=False)
    app.router.add_post(ACCEPT, accept)
