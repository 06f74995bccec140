"""Authenticates every request by the active web-config, which is read again when it changes."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from aiohttp import web
from msgspec import Struct, field

from exporter.config.strict_yaml import ConfigError
from exporter.engine.self_metrics import Reload
from exporter.probe import ProbeError
from exporter.system.threads import TimedThread
from exporter.web import tls
from exporter.web.bearer import authorization
from exporter.web.credentials import Credentials, Verified, read_token
from exporter.web.rate_limit import client_key
from exporter.web.web_config import load

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds, of reading the files
OPEN_PATHS = ("/-/healthy", "/-/ready")  # they reveal nothing else
OWN_AUTH = "/-/aide/"  # what lies below has a token of its own, and a request carries one Authorization

TLS, CERTIFICATES, CREDENTIALS = "TLS", "client certificates", "passwords or tokens"
NAMES = "the names of client certificates"
NOSNIFF = {"X-Content-Type-Options": "nosniff"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fingerprints = tuple[tuple[Path, object], ...]


class Rules(Struct, frozen=True):
    """One reading of the web-config with everything that it names, ready for use.

    headers: those that every answer has, unless it brings its own.
    allowed_sans: names of which a client's certificate must have one; None for any name.
    fingerprints: of the files, just before they were read.
    """

    credentials: Credentials
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=NOSNIFF.copy)
    allowed_sans: frozenset[str] | None = None
    fingerprints: Fingerprints = ()

    @property
    def layers(self) -> set[str]:
        """What stands between the metrics and a stranger."""
        context = self.context
        verifies = context is not None and context.verify_mode == ssl.CERT_REQUIRED
        layers = {
            TLS: context is not None,
            CERTIFICATES: verifies,
            NAMES: self.allowed_sans is not None,
            CREDENTIALS: self.credentials.needed,
        }
        return {name for name, active in layers.items() if active}


def read_rules(path: Path, verified: Verified) -> Rules:
    """Reads the web-config and all files that it names; ``verified`` outlives the reading.

    Raises:
        ConfigError: any of it can't be used.
    """
    own = _fingerprints([path])
    config, directory = load(path), path.parent
    tokens = [directory / name for name in config.bearer_token_files]
    tls_config = config.tls_server_config
    fingerprints = own + _fingerprints([*tokens, *(tls.files(tls_config, directory) if tls_config else ())])
    return Rules(
        Credentials(config.users, [read_token(token) for token in tokens], verified),
        tls.server_context(tls_config, directory) if tls_config else None,
        NOSNIFF | {name: value for name, value in config.headers.items() if value},
        tls_config.allowed_sans if tls_config else None,
        fingerprints,
    )


class Auth:
    """The active rules. Without a web-config everybody may come in."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._verified = Verified()
        self.rules = read_rules(path, self._verified) if path else Rules(Credentials({}, []))
        self.reload = Reload(successful=True, time=time.time()) if path else None
        self._last_read: Fingerprints | str = ()  # what came of the last reading of changed files
        self._error = ""  # why they are not active
        self._reading = TimedThread(TIMEOUT)

    @property
    def protects(self) -> bool:
        """Whether anything keeps strangers out."""
        return bool(self.rules.layers - {TLS})

    async def refresh_in_time(self) -> None:
        """As ``refresh``, but beside the event loop; files that don't answer are as bad as invalid ones."""
        try:
            await self._reading.run(self.refresh)
        except TimeoutError:
            self._refuse(
                f"{self._path} or what it names can't be read: nothing came within {TIMEOUT:g} seconds"
            )

    def refresh(self) -> bool:
        """Activates changed files once two readings in a row agree: a file may be half written.

        Invalid ones leave everything as it was, are logged once, and are read again each time: what was wrong
        may be a file that they name. Returns whether other rules are active now.
        """
        known = self.rules.fingerprints
        if self._path is None or self.reload is None or _fingerprints(path for path, _ in known) == known:
            self._last_read = ()
            self._accept()
            return False
        new = self._changed(self._path)
        before, self._last_read = self._last_read, new if isinstance(new, str) else new.fingerprints
        if self._last_read != before:
            return False
        if isinstance(new, str):
            self._refuse(new)
            return False
        self.rules = new
        self.reload.time = time.time()
        self._accept()
        log.info("the web configuration was read again")
        return True

    def _refuse(self, error: str) -> None:
        if self.reload and error != self._error:
            log.error("the new web configuration was refused, the one before stays active: %s", error)
            self.reload.successful = False
        self._error = error

    def _accept(self) -> None:
        self._error = ""
        if self.reload:
            self.reload.successful = True

    def _changed(self, path: Path) -> Rules | str:
        """The new rules, or why there are none.

        They may not leave out a layer: half a file, or an emptied one, is a good one that does.
        """
        try:
            rules = read_rules(path, self._verified)
        except ConfigError as error:
            return str(error)
        lost = sorted(self.rules.layers - rules.layers)
        return f"it is without {' and '.join(lost)}, which only a restart takes away" if lost else rules

    def install(self, app: web.Application) -> None:
        """Lets requests through to this application when they may come in; its answers get headers."""
        app.middlewares.append(self._authenticate)
        app.on_response_prepare.append(self._add_headers)

    @property
    def headers(self) -> Mapping[str, str]:
        """Those that every answer has, unless it brings its own; the same object until the rules change."""
        return self.rules.headers

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        credentials, connection = self.rules.credentials, request.get_extra_info("ssl_object")
        if tls.resumed(connection):
            raise web.HTTPForbidden(text="begin a new TLS session: none is resumed here\n")
        allowed = self.rules.allowed_sans
        if allowed is not None and not allowed & tls.names(connection):
            raise web.HTTPForbidden(text="the client's certificate has none of client_allowed_sans\n")
        if await _is_allowed(request, credentials):
            return await handler(request)
        challenge = {"WWW-Authenticate": credentials.challenge}
        return web.Response(status=401, text="Unauthorized\n", headers=challenge)

    async def _add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """A page's own, which may be stricter, stay as they are."""
        for name, value in self.headers.items():
            response.headers.setdefault(name, value)


async def _is_allowed(request: web.Request, credentials: Credentials) -> bool:
    if not credentials.needed or request.path in OPEN_PATHS or request.path.startswith(OWN_AUTH):
        return True
    try:
        return await credentials.authenticate(authorization(request), client_key(request.remote))
    except ProbeError as error:
        raise web.HTTPServiceUnavailable(text=f"{error.reason}\n") from error


def _fingerprints(paths: Iterable[Path]) -> Fingerprints:
    """What changes when a file is replaced, written anew or made readable, or when a link leads elsewhere."""
    return tuple((path, _fingerprint(path)) for path in paths)


def _fingerprint(path: Path) -> object:
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
