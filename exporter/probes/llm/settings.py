"""The settings of LLM servers, which refuse what can't be asked."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from exporter.probe import Duration, Schedule

LEAST_TTL = 15  # seconds: some servers suffer where they are asked more often
DEFAULT_PORTS = {"http": 80, "https": 443}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
EXAMPLE = '[{name: ollama, url: "http://127.0.0.1:11434"}]'


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One server.

    name: the label ``server``. kind: found out where it is left out. api_key_file: a file with the key that
    it asks for. metrics: whether llama.cpp's own metrics are read.
    """

    name: str
    url: str
    kind: Literal["ollama", "llama.cpp", "llama-swap", "vllm", "sglang", "openai"] | None = None
    api_key_file: str | None = None
    metrics: bool = True

    def __post_init__(self) -> None:
        """Refuses what can't be asked."""
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"name must be made of letters, digits, _ and -, a letter first, got {self.name!r}"
            )
        host = _host_of(self.url)
        if host is None:
            raise ValueError(
                "url must be http:// or https://, a host and a port, without a key or query in it"
            )
        if self.api_key_file is not None:
            if not self.api_key_file.startswith("/"):
                raise ValueError(f"api_key_file must be an absolute path, got {self.api_key_file!r}")
            if not self.url.startswith("https:") and not _is_loopback(host):
                raise ValueError("api_key_file: a key goes to another host by https:// alone")

    @property
    def local_port(self) -> int | None:
        """The server's port; None where it is not on this host's loopback."""
        parts = urlsplit(self.url)
        return (parts.port or DEFAULT_PORTS[parts.scheme]) if _is_loopback(parts.hostname or "") else None


class Settings(Schedule, frozen=True, kw_only=True):
    """servers: each asked on its own."""

    servers: tuple[Server, ...]
    ttl: Duration = Duration(LEAST_TTL)
    wait: Duration = Duration(1)
    timeout: Duration = Duration(3)

    def __post_init__(self) -> None:
        """Refuses servers that can't be told apart, and too many questions."""
        super().__post_init__()
        if self.ttl < LEAST_TTL:
            raise ValueError(f"ttl must be at least {LEAST_TTL}s, got {self.ttl:g}s")
        if not self.servers:
            raise ValueError(f"servers must name at least one, such as {EXAMPLE}")
        names = [server.name for server in self.servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two servers are named {name}")


def _host_of(url: str) -> str | None:
    """The host of a server's URL; None where it is no URL of one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and not set(url) & set(" ?#@\\")
    return host if plain and parts.scheme in ("http", "https") and host and port != 0 else None


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
