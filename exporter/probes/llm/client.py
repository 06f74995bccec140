"""Asks a server by GET, on a fixed list of paths, within bounds of time and size."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from exporter.system.http_library import verifying_context
from exporter.system.threads import run_in_thread, run_in_thread_if_large

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver

BODY_LIMIT = 4 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
CONNECT_TIMEOUT = 1.0  # seconds
OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, UNAVAILABLE = 200, 401, 403, 404, 503
REDIRECTS = range(300, 400)


class Failure(Exception):  # noqa: N818 - of one read, not of the exporter
    """A server could not be read. reason: a word of REASONS; its text and ``hint`` are for a person."""

    def __init__(self, reason: str, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.hint = hint


class Answer(Struct, frozen=True):
    """A server's answer. server, type: its headers Server and Content-Type."""

    path: str
    status: int
    server: str
    type: str
    body: bytes

    async def json(self) -> dict[str, object]:
        """The object that the body is.

        Raises:
            Failure: it is none.
        """
        value = await run_in_thread_if_large(len(self.body), _decode, self.body)
        if not isinstance(value, dict):
            raise Failure("bad_answer", f"the answer to GET {self.path} is no JSON object")
        return value


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


class Client:
    """A server's paths. key: sent as a bearer token, where there is one.

    paths: all that may be asked, without their query. Requests follow one another, none is repeated.
    """

    def __init__(self, session: ClientSession, url: str, paths: frozenset[str], key: str = "") -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._paths = paths
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def get(self, path: str) -> Answer:
        """The answer to a path, whatever its status is.

        Raises:
            Failure: there is none, or none that is read: too large, compressed, or a redirect.
        """
        from aiohttp import ClientConnectorError, ClientError  # noqa: PLC0415 - it takes time to import

        if path.partition("?")[0] not in self._paths:
            raise ValueError(f"GET {path} is not known to be harmless")
        try:
            return await self._get(path)
        except ClientConnectorError as error:
            raise Failure("refused", f"{self._url}: {_os_message(error)}") from error
        except TimeoutError as error:
            raise Failure("timeout", f"{self._url} did not answer GET {_bare(path)} in time") from error
        except (ClientError, OSError, ValueError) as error:
            text = f"{self._url} broke off its answer to GET {_bare(path)}: {type(error).__name__}"
            raise Failure("bad_answer", text) from error

    async def _get(self, path: str) -> Answer:
        from yarl import URL  # noqa: PLC0415 - as above

        url = URL(self._url + path, encoded=True)
        tls = await verifying_context() if url.scheme == "https" else True
        async with self._session.get(url, headers=self._headers, allow_redirects=False, ssl=tls) as response:
            encoding = response.headers.get("Content-Encoding", "identity")
            if response.status in REDIRECTS:
                raise Failure("bad_answer", f"{self._url} redirects GET {_bare(path)} elsewhere")
            if encoding.lower() != "identity":
                raise Failure("bad_answer", f"the answer to GET {_bare(path)} is compressed, unasked")
            limit = BODY_LIMIT if response.status == OK else ERROR_LIMIT
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    size = limit // 1024
                    raise Failure("too_large", f"the answer to GET {_bare(path)} is larger than {size} KiB")
            headers = response.headers
            return Answer(
                _bare(path),
                response.status,
                headers.get("Server", ""),
                headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                bytes(body),
            )


def new_session() -> ClientSession:
    """A session without cookies, proxies of the environment, kept connections or parallel requests."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector  # noqa: PLC0415 - as above

    return ClientSession(
        connector=TCPConnector(limit=1, force_close=True, resolver=_resolver()),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),  # each run has a timeout of its own
        headers={"Accept": "application/json, text/plain;version=0.0.4", "Accept-Encoding": "identity"},
    )


def _resolver() -> AbstractResolver:
    """Looks names up in a thread of its own: aiohttp's own would hold up the exporter's exit."""
    from aiohttp.abc import AbstractResolver, ResolveResult  # noqa: PLC0415 - as above

    class Resolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found = await run_in_thread(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
            return [
                ResolveResult(
                    hostname=host, host=str(address[0]), port=port, family=family, proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
                for family, _, proto, _, address in found
            ]  # fmt: skip

        async def close(self) -> None:
            pass

    return Resolver()


def _bare(path: str) -> str:
    """A path without its query, which may name a model."""
    return path.partition("?")[0]


def _os_message(error: Exception) -> str:
    cause = getattr(error, "os_error", None)
    code = getattr(cause, "errno", None) or 0
    return os.strerror(code) if code > 0 else getattr(cause, "strerror", None) or "it can't be reached"
