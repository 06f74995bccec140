"""The server's TLS context, from a web-config's names, which are Go's."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from exporter.config.strict_yaml import ConfigError
from exporter.system.files import read
from exporter.web.web_config import TlsConfig

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# The suites that Go holds secure. Those of TLS 1.3 are always on, in Go and in OpenSSL.
SUITE_12 = re.compile(
    r"TLS_ECDHE_(ECDSA|RSA)_WITH_"
    r"(AES_(128|256)_CBC_SHA|AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256)"
)
SUITE_13 = re.compile(r"TLS_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256)")
DEFAULT_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
# OpenSSL's reasons where a client begins with anything but TLS.
NO_TLS = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"}
NOT_TLS = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nThis is an HTTPS port: ask for https://.\n"
)
SAN_KINDS = {"DNS", "email", "IP Address", "URI"}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


class Refused(ssl.SSLError):
    """A handshake that failed. reply: what the client should still get, which asyncio would drop."""

    def __init__(self, error: ssl.SSLError, alert: bytes) -> None:
        super().__init__(*error.args)
        self.reply = NOT_TLS if error.reason in NO_TLS else alert


class _Connection(ssl.SSLObject):
    """The server's side of a connection; outgoing: where its bytes wait to be sent."""

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            raise Refused(error, self.outgoing.read()) from error


class _Context(ssl.SSLContext):
    """A context whose connections know where their bytes go."""

    sslobject_class = _Connection

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **more: Any
    ) -> ssl.SSLObject:
        connection = super().wrap_bio(incoming, outgoing, *args, **more)
        cast("_Connection", connection).outgoing = outgoing
        return connection


def server_context(tls: TlsConfig, directory: Path) -> ssl.SSLContext:
    """The context for this configuration; relative paths start at ``directory``.

    Raises:
        ConfigError: a name that can't be had here, or a certificate, key or CA that can't be used.
    """
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _versions(tls)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(_cipher_string(tls.cipher_suites))
        _set_curve(context, tls.curve_preferences)
    except ssl.SSLError as error:
        raise _refused("the suites or the curve can't be had here", error) from error
    try:
        _load(context, tls, directory)
    except ssl.SSLError as error:
        raise _refused("the certificates can't be used", error) from error
    return context


def files(tls: TlsConfig, directory: Path) -> list[Path]:
    """The files whose change makes another context."""
    return [directory / name for name in (tls.cert_file, tls.key_file, tls.client_ca_file) if name]


def resumed(connection: ssl.SSLObject | None) -> bool:
    """Whether a client took up an earlier session where a certificate is required, which is not checked anew.

    Tickets are switched off; for the session IDs of TLS 1.2 Python's ssl has no switch.
    """
    if connection is None or connection.context.verify_mode != ssl.CERT_REQUIRED:
        return False
    return bool(connection.session_reused)


def names(connection: ssl.SSLObject | None) -> frozenset[str]:
    """The subject alternative names of a client's certificate, addresses as Go writes them."""
    certificate = connection.getpeercert() if connection else None
    entries = cast("tuple[tuple[str, str], ...]", (certificate or {}).get("subjectAltName", ()))
    return frozenset(_written(kind, name) for kind, name in entries if kind in SAN_KINDS)


def _written(kind: str, name: str) -> str:
    return str(ipaddress.ip_address(name.strip())) if kind == "IP Address" else name


def _refused(what: str, error: ssl.SSLError) -> ConfigError:
    reason = getattr(error, "reason", None)  # one of Python's own making has none
    return ConfigError(f"tls_server_config: {what}: {reason or error}")


def _versions(tls: TlsConfig) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The oldest and the newest; with suites of TLS 1.3 alone nothing older, as there is none left for it."""
    oldest, newest = _version("min_version", tls.min_version), _version("max_version", tls.max_version)
    if oldest > newest:
        raise ConfigError("tls_server_config: min_version is above max_version")
    if tls.cipher_suites and all(map(SUITE_13.fullmatch, tls.cipher_suites)):
        oldest = ssl.TLSVersion.TLSv1_3
    if oldest > newest:
        raise ConfigError("tls_server_config.cipher_suites: TLS 1.2, which is max_version, has none of these")
    return oldest, newest


def _version(key: str, name: str) -> ssl.TLSVersion:
    version = VERSIONS.get(name)
    if version is None:
        raise ConfigError(f"tls_server_config.{key}: expected {' or '.join(VERSIONS)}, got {name!r}")
    return version


def _cipher_string(names: list[str]) -> str:
    """OpenSSL's cipher string for suites of TLS 1.2."""
    for name in names:
        if not (SUITE_12.fullmatch(name) or SUITE_13.fullmatch(name)):
            raise ConfigError(f"tls_server_config.cipher_suites: {name!r} is not supported here")
    return ":".join(_openssl_name(name) for name in names if SUITE_12.fullmatch(name)) or DEFAULT_SUITES


def _openssl_name(suite: str) -> str:
    """``ECDHE-RSA-AES128-GCM-SHA256`` for ``TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256``."""
    words = suite.removeprefix("TLS_").replace("_WITH", "").replace("AES_", "AES").replace("_CBC", "")
    return words.replace("POLY1305_SHA256", "POLY1305").replace("_", "-")


def _set_curve(context: ssl.SSLContext, names: list[str]) -> None:
    if not names:
        return
    if len(names) > 1 or names[0] not in CURVES:
        one = ", ".join(CURVES)
        raise ConfigError(
            f"tls_server_config.curve_preferences: expected one of {one}, got {', '.join(names)}"
        )
    context.set_ecdh_curve(CURVES[names[0]])


def _load(context: ssl.SSLContext, tls: TlsConfig, directory: Path) -> None:
    with _path(tls.cert, tls.cert_file, directory) as cert, _path(tls.key, tls.key_file, directory) as key:
        context.load_cert_chain(cert, key, password="")  # an encrypted key fails; nobody is asked
    if tls.client_auth_type == "RequireAndVerifyClientCert":
        with _path(tls.client_ca, tls.client_ca_file, directory) as ca:
            context.load_verify_locations(ca)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a CA under another one is trusted by itself
        context.verify_mode = ssl.CERT_REQUIRED
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0


@contextmanager
def _path(text: str, name: str, directory: Path) -> Iterator[Path]:
    """The path of a file with this text, or that file's, since OpenSSL wants one and would wait for a FIFO.

    It is never on a disk: a key may be in it.
    """
    descriptor = os.memfd_create("grid-exporter", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode() if text else _content(directory / name))
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes:
    try:
        return read(path, refuse_open_to_all=True)
    except OSError as error:
        raise ConfigError(f"tls_server_config: {path}: {error.strerror}") from error
