"""Asks Docker or Podman by their HTTP API over a kept connection: a list a run, an inspect of what changed.

Only GET is used, so that a proxy may refuse everything else.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from exporter.probe import ProbeError
from exporter.probes.containers.engine import EngineDown, forbidden, missing
from exporter.probes.containers.inspect_json import CONTAINER_LIMIT, NULL, Container, Id, parse_container
from exporter.system import http_library
from exporter.system.threads import run_in_thread_if_large

if TYPE_CHECKING:
    from aiohttp import BaseConnector, ClientResponse, ClientSession

HOST = re.compile(
    r"unix://(?P<path>/[^\x00-\x20\x7f]+)"
    r"|tcp://(?P<address>(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})"
)
VERSION = re.compile(r"1\.([0-9]{1,3})")
NEWEST = 51  # the newest version that is known: 1.51, of Docker 28
LIST_LIMIT = 16 * 1024 * 1024  # bytes; some 2 KB a container
ERROR_LIMIT = 64 * 1024
OK, FORBIDDEN, NOT_FOUND = 200, 403, 404
INSPECT_EVERY = 60.0  # seconds
KEEP_ALIVE = 60.0  # seconds that the connection is kept without a run
PROXY_HINT = (
    "let GET through to /_ping, /containers/json and /containers/ID/json, with or without /v1.NN before"
)


class _Listed(msgspec.Struct, rename="pascal"):
    """A container in the engine's list, as far as it shows a change."""

    id: Id
    names: Raw = NULL
    state: Raw = NULL
    status: Raw = NULL  # such as "Up 3 minutes (healthy)": it changes with a start, an exit and the health

    @property
    def shown(self) -> tuple[bytes, ...]:
        return bytes(self.names), bytes(self.state), bytes(self.status)


class _Known(Struct, frozen=True):
    """A container since its last inspect.

    shown: how it was listed. expires_at: when it is inspected again (monotonic clock). local: whether its
    main process was in this host's /proc.
    """

    container: Container
    shown: tuple[bytes, ...]
    expires_at: float
    local: bool


class Api:
    """An engine's API at ``host``: ``unix:///path`` or ``tcp://host:port``. proc: where its processes are."""

    def __init__(self, host: str, proc: Path) -> None:
        self.host = host
        self._proc = proc
        self._connector: BaseConnector | None = None
        self._prefix: str | None = None  # of the negotiated version; None: not yet
        self._known: dict[str, _Known] = {}

    async def inspect_all(self) -> tuple[list[Container], str]:
        """As Engine. A container is inspected when it is new, when it changed, and once a minute."""
        await http_library.load()  # here, and not above: it takes a tenth of a second
        from aiohttp import ClientError  # noqa: PLC0415 - as above

        try:
            async with self._session() as session:
                return await self._inspect_all(session)
        except ProbeError:
            self._prefix = None  # another version of the engine may be there now
            raise
        except (ClientError, OSError) as error:
            self._prefix = None
            raise self._failure(error) from error

    def __del__(self) -> None:
        """Closes the connection of a probe that a reload replaced; aiohttp would log it as an error."""
        if self._connector is not None:
            self._connector._close()  # noqa: SLF001 - the public one has to be awaited

    async def close(self) -> None:
        """Closes the connection."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None

    async def _inspect_all(self, session: ClientSession) -> tuple[list[Container], str]:
        if self._prefix is None:
            self._prefix = await self._negotiate(session)
        listed = await self._list(session)
        known, errors = self._known, []
        self._known = {
            it.id: known[it.id] for it in listed if it.id in known and self._is_current(it, known[it.id])
        }
        for it in listed:
            if it.id in self._known:
                continue
            try:
                container = await self._inspect(session, it.id)
            except (ProbeError, ValueError) as error:
                errors.append(str(error))
                continue
            if container is not None:
                self._known[it.id] = self._now_known(it, container)
        containers = [self._known[it.id].container for it in listed if it.id in self._known]
        return containers, missing("inspect", len(errors), len(listed), errors)

    def _is_current(self, listed: _Listed, known: _Known) -> bool:
        """Whether an inspect would report the same."""
        unlisted_health = known.container.health is not None and b"health" not in bytes(listed.status)
        return (
            listed.shown == known.shown
            and time.monotonic() < known.expires_at
            and not unlisted_health
            and known.local == self._is_local(known.container)  # a restart within a second is listed alike
        )

    def _is_local(self, container: Container) -> bool:
        return container.pid > 0 and os.path.exists(f"{self._proc}/{container.pid}")  # noqa: PTH110 - of each container

    def _now_known(self, listed: _Listed, container: Container) -> _Known:
        # The containers of a first run are not all inspected again in the same one.
        lifetime = INSPECT_EVERY * (0.5 + int(listed.id[:4], 16) / 0x20000)
        return _Known(container, listed.shown, time.monotonic() + lifetime, self._is_local(container))

    async def _negotiate(self, session: ClientSession) -> str:
        """The path's prefix for the newest version that both know; none where the engine names none."""
        async with session.get(f"{self._base}/_ping", allow_redirects=False) as response:
            version = VERSION.fullmatch(response.headers.get("Api-Version", ""))
            await _read(response, ERROR_LIMIT)
        return f"/v1.{min(int(version[1]), NEWEST)}" if version else ""

    async def _list(self, session: ClientSession) -> list[_Listed]:
        url = f"{self._base}{self._prefix}/containers/json?all=1"
        async with session.get(url, allow_redirects=False) as response:
            body = await self._body(response, LIST_LIMIT)
        return await run_in_thread_if_large(len(body), _parse_list, body)

    async def _inspect(self, session: ClientSession, id_: str) -> Container | None:
        """The container, or None: it is gone."""
        url = f"{self._base}{self._prefix}/containers/{id_}/json"
        async with session.get(url, allow_redirects=False) as response:
            if response.status == NOT_FOUND:
                return None
            body = await self._body(response, CONTAINER_LIMIT)
        return await run_in_thread_if_large(len(body), parse_container, body)

    async def _body(self, response: ClientResponse, limit: int) -> bytes:
        """The body of a good answer.

        Raises:
            ProbeError: the answer is an error, or longer than ``limit``.
        """
        good = response.status == OK
        body = await _read(response, limit if good else ERROR_LIMIT)
        path = response.url.path
        if body is None:
            raise ProbeError(f"the engine's answer to GET {path} is larger than {limit // 1024} KiB")
        if not good:
            hint = PROXY_HINT if response.status == FORBIDDEN else ""
            reason = f"the engine at {self.host} answered GET {path} with {response.status}"
            raise ProbeError(f"{reason}: {_error_message(body)}", hint)
        return body

    @property
    def _base(self) -> str:
        match = HOST.fullmatch(self.host)
        return f"http://{(match and match['address']) or 'engine'}"

    def _session(self) -> ClientSession:
        """A session over the kept connection; it belongs to one run, the connection to all."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar  # noqa: PLC0415 - as above

        if self._connector is None:
            self._connector = _connector(self.host)
        return ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),  # the run's own timeout ends it
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )

    def _failure(self, error: Exception) -> Exception:
        """What an error of the connection means."""
        from aiohttp import ClientConnectorError  # noqa: PLC0415 - as above

        cause = getattr(error, "os_error", error)
        message = f"{self.host}: {getattr(cause, 'strerror', None) or cause or type(error).__name__}"
        if isinstance(cause, PermissionError):
            return forbidden(message)
        if isinstance(error, ClientConnectorError):
            return EngineDown(message)
        return ProbeError(f"the engine broke the connection: {message}")


def check_host(text: str) -> None:
    """Refuses what is no address of an engine.

    Raises:
        ValueError: it is neither ``unix:///path`` nor ``tcp://host:port``.
    """
    if not HOST.fullmatch(text):
        raise ValueError(f"expected unix:///path or tcp://host:port, got {text!r}")


def _connector(host: str) -> BaseConnector:
    from aiohttp import TCPConnector, UnixConnector  # noqa: PLC0415 - as above

    match = HOST.fullmatch(host)
    options: Mapping[str, Any] = {"limit": 1, "keepalive_timeout": KEEP_ALIVE}
    if match and match["path"]:
        return UnixConnector(match["path"], **options)
    return TCPConnector(**options)


async def _read(response: ClientResponse, limit: int) -> bytes | None:
    """The body, or None: it is longer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _parse_list(body: bytes) -> list[_Listed]:
    try:
        return msgspec.json.decode(body, type=list[_Listed])
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"the engine's list of containers is invalid: {error}") from error


def _error_message(body: bytes) -> str:
    """What the engine gives as the reason, or the answer's first line."""
    try:
        message = msgspec.json.decode(body, type=dict[str, str])["message"]
    except (ValueError, KeyError, RecursionError):
        message = body.decode("utf-8", "replace")
    return message.strip().partition("\n")[0][:200] or "no reason"
