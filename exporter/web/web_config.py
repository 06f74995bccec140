"""The exporter-toolkit's web-config.yml, so that files written for other exporters work here.

What can't be had here is refused by name rather than ignored: a protection that somebody believes in must not
be missing unnoticed. One key is added, ``bearer_token_files``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from exporter.config import strict_yaml
from exporter.config.strict_yaml import ConfigError
from exporter.system.files import read

# Costs that there are; and the salt's last character holds but two bits.
BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
HEADER_VALUES = {"X-Content-Type-Options": {"", "nosniff"}, "X-Frame-Options": {"", "deny", "sameorigin"}}


if TYPE_CHECKING:
    Text: TypeAlias = str
    Flag: TypeAlias = bool
    Names: TypeAlias = list[str]
else:  # as they are read; a key with nothing after it is as good as none
    Text, Flag, Names = str | None, bool | None, list[str] | None


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping whose every key is known. One with nothing after it has its default."""

    def __post_init__(self) -> None:
        """Sets the defaults."""
        for field in msgspec.structs.fields(self):
            if getattr(self, field.name) is None and field.default is not None:
                default = field.default
                if default is msgspec.NODEFAULT:
                    default = field.default_factory()
                msgspec.structs.force_setattr(self, field.name, default)


class TlsConfig(Strict, frozen=True):
    """``tls_server_config``; names as Go has them. Paths are relative to the file's own directory."""

    cert_file: Text = ""
    key_file: Text = ""
    cert: Text = ""
    key: Text = ""
    client_auth_type: Text = ""
    client_ca_file: Text = ""
    client_ca: Text = ""
    client_allowed_sans: list[str] | None = None
    cipher_suites: Names = []
    curve_preferences: Names = []
    min_version: Text = "TLS12"
    max_version: Text = "TLS13"
    prefer_server_cipher_suites: Flag = True

    @property
    def allowed_sans(self) -> frozenset[str] | None:
        """Names of which a client's certificate must have one; no name lets nobody in, None all."""
        return None if self.client_allowed_sans is None else frozenset(self.client_allowed_sans)


class HttpConfig(Strict, frozen=True):
    """``http_server_config``. HTTP/2 is an offer that a client need not take; here it is not made.

    headers: a value may be a number, as in ``X-XSS-Protection: 1``.
    """

    http2: Flag = True
    headers: dict[str, str | int | None] | None = None


class RateLimit(Strict, frozen=True):
    """``rate_limit``, which is off without an interval."""

    interval: str | int | None = 0
    burst: int | None = 0


class WebConfig(Strict, frozen=True):
    """The whole file. A key of the toolkit's with nothing after it is as good as none."""

    tls_server_config: TlsConfig | None = None
    http_server_config: HttpConfig | None = None
    basic_auth_users: dict[str, str] | None = None
    bearer_token_files: list[str] = []
    rate_limit: RateLimit | None = None

    @property
    def users(self) -> dict[str, str]:
        """Each one's bcrypt hash."""
        return self.basic_auth_users or {}

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries."""
        headers = (self.http_server_config and self.http_server_config.headers) or {}
        return {name: str(value) for name, value in headers.items() if value is not None}


def load(path: Path) -> WebConfig:
    """Reads and checks the file.

    Raises:
        ConfigError: it can't be read, or holds what is wrong or can't be had here.
    """
    try:
        text = read(path, strict_yaml.SIZE_LIMIT, refuse_open_to_all=True).decode()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    return parse(text)


def parse(text: str) -> WebConfig:
    """The configuration in the text; an empty one protects nothing.

    Raises:
        ConfigError: with the path of the mistake.
    """
    config: WebConfig = strict_yaml.decode(text, WebConfig | None, secret=True) or WebConfig()
    if config.rate_limit is not None and config.rate_limit.interval not in {0, "0", "0s"}:
        raise ConfigError("rate_limit: not supported here (connections are limited; a storm costs little)")
    for name, value in config.headers.items():
        _check_header(name, value)
    for user, password in config.users.items():
        _check_user(user, password)
    if config.tls_server_config is not None:
        _check_tls(config.tls_server_config)
    return config


def _check_header(name: str, value: str) -> None:
    where = f"http_server_config.headers.{name}"
    if name not in HEADERS:
        raise ConfigError(f"{where}: can't be configured; these can: {', '.join(HEADERS)}")
    allowed = HEADER_VALUES.get(name)
    if allowed is not None and value.lower() not in allowed:
        raise ConfigError(f"{where}: expected {' or '.join(sorted(allowed - {''}))}, got {value!r}")
    if not value.isprintable():
        raise ConfigError(f"{where}: holds a character that no header may hold")


def _check_user(user: str, password: str) -> None:
    if ":" in user or not user:
        raise ConfigError(f"basic_auth_users: {user!r} can't be a user's name: it is empty or holds a colon")
    if not BCRYPT.fullmatch(password):
        raise ConfigError(f"basic_auth_users.{user}: expected a bcrypt hash (htpasswd -nBC 10 {user})")


def _check_tls(tls: TlsConfig) -> None:
    where = "tls_server_config"
    for name in ("cert", "key", "client_ca"):
        if getattr(tls, name) and getattr(tls, f"{name}_file"):
            raise ConfigError(f"{where}: {name} and {name}_file exclude each other")
    for name in ("cert", "key"):
        if not (getattr(tls, name) or getattr(tls, f"{name}_file")):
            raise ConfigError(f"{where}: {name} or {name}_file is missing")
    has_ca = bool(tls.client_ca or tls.client_ca_file)
    if tls.client_auth_type not in {"", "NoClientCert", "RequireAndVerifyClientCert"}:
        known = "NoClientCert or RequireAndVerifyClientCert"
        raise ConfigError(f"{where}.client_auth_type: expected {known}, got {tls.client_auth_type!r}")
    if tls.client_auth_type == "RequireAndVerifyClientCert" and not has_ca:
        raise ConfigError(f"{where}: client certificates are required, but client_ca_file is missing")
    if tls.client_auth_type != "RequireAndVerifyClientCert" and has_ca:
        raise ConfigError(
            f"{where}: there is a client_ca_file, but client_auth_type does not require certificates"
        )
    if tls.client_allowed_sans is not None and not has_ca:
        raise ConfigError(f"{where}: client_allowed_sans need client_auth_type RequireAndVerifyClientCert")
