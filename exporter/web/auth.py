"""Stands before every request: the web-config in force, read again when it changes."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from exporter.config.strict_yaml import ConfigError
from exporter.probe import ProbeError
from exporter.web import tls
from exporter.web.bearer import authorization
from exporter.web.credentials import Credentials, read_token
from exporter.web.rate_limit import client_key
from exporter.web.web_config import load

log = logging.getLogger(__name__)

OPEN_PATHS = ("/-/healthy", "/-/ready")  # they say nothing but that
OWN_DOOR = "/-/aide/"  # what lies below has a token of its own, and a request carries one Authorization

TLS, CERTIFICATES, CREDENTIALS = "TLS", "client certificates", "passwords or tokens"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fingerprints = tuple[tuple[Path, object], ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """One reading of the web-config with everything that it names, ready for use.

    marks: what the files looked like just before they were read.
    """

    credentials: Credentials
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    marks: Fingerprints = ()

    @property
    def layers(self) -> set[str]:
        """What stands between the figures and a stranger."""
        context = self.context
        verifies = context is not None and context.verify_mode == ssl.CERT_REQUIRED
        layers = {TLS: context is not None, CERTIFICATES: verifies, CREDENTIALS: self.credentials.needed}
        return {name for name, there in layers.items() if there}


def read_rules(path: Path) -> Rules:
    """Reads the web-config and all files that it names.

    Raises:
        ConfigError: any of it can't be used.
    """
    own_mark = _fingerprints([path])
    config, directory = load(path), path.parent
    tokens = [directory / name for name in config.bearer_token_files]
    tls_config = config.tls_server_config
    marks = own_mark + _fingerprints([*tokens, *(tls.files(tls_config, directory) if tls_config else ())])
    return Rules(
        Credentials(config.users, [read_token(token) for token in tokens]),
        tls.server_context(tls_config, directory) if tls_config else None,
        {name: value for name, value in config.headers.items() if value},
        marks,
    )


class Auth:
    """The rules in force. Without a web-config everybody may come in."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.rules = read_rules(path) if path else Rules(Credentials({}, []))
        self._seen: Fingerprints | str = ()  # what came of the last look at changed files
        self._said = ""  # why they were not taken

    @property
    def protects(self) -> bool:
        """Whether anything keeps strangers out."""
        return bool(self.rules.layers - {TLS})

    def refresh(self) -> bool:
        """Takes changed files into force once two looks in a row find the same: a file may be half written.

        Faulty ones leave everything as it was, are logged once, and are tried again at every look: what was
        wrong may be a file that they name. Returns whether other rules are in force now.
        """
        if self._path is None or _fingerprints(path for path, _ in self.rules.marks) == self.rules.marks:
            self._seen, self._said = (), ""
            return False
        found = self._changed(self._path)
        before, self._seen = self._seen, found if isinstance(found, str) else found.marks
        if self._seen != before:
            return False
        if isinstance(found, str):
            if found != self._said:
                log.error("the web configuration was not taken, the one before stays in force: %s", found)
            self._said = found
            return False
        self.rules, self._said = found, ""
        log.info("the web configuration was read again")
        return True

    def _changed(self, path: Path) -> Rules | str:
        """The new rules, or why there are none.

        They may not leave out a layer: half a file, or an emptied one, is a good one that does.
        """
        try:
            rules = read_rules(path)
        except ConfigError as error:
            return str(error)
        lost = sorted(self.rules.layers - rules.layers)
        return f"it is without {' and '.join(lost)}, which only a restart takes away" if lost else rules

    def install(self, app: web.Application) -> None:
        """Lets requests through to this application when they may come in, and adds the configured headers.

        What aiohttp's parser refuses (400) never comes to an application, so it has neither.
        """
        if self._path is not None:
            app.middlewares.append(self._admit)
            app.on_response_prepare.append(self._add_headers)

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        credentials = self.rules.credentials
        if tls.resumed(request.get_extra_info("ssl_object")):
            raise web.HTTPForbidden(text="begin a new TLS session: none is resumed here\n")
        if await _may_come_in(request, credentials):
            return await handler(request)
        challenge = {"WWW-Authenticate": credentials.challenge}
        return web.Response(status=401, text="Unauthorized\n", headers=challenge)

    async def _add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """A page's own, which may be stricter, stay as they are."""
        for name, value in self.rules.headers.items():
            response.headers.setdefault(name, value)


async def _may_come_in(request: web.Request, credentials: Credentials) -> bool:
    if request.path in OPEN_PATHS or request.path.startswith(OWN_DOOR):
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
