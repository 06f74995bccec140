"""Servers of language models, asked over HTTP; each is a probe of its own.

Only paths that neither load, wake, renew nor unload a model are asked (``paths`` of each kind).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.llm import identify
from exporter.probes.llm.client import Client, Failure, new_session
from exporter.probes.llm.discovery import find_servers
from exporter.probes.llm.families import INFO, READ_SECONDS, add_reading
from exporter.probes.llm.history import History
from exporter.probes.llm.llamacpp import LlamaCpp
from exporter.probes.llm.llamaswap import LlamaSwap
from exporter.probes.llm.ollama import Ollama
from exporter.probes.llm.openai import OpenAi
from exporter.probes.llm.processes import PORTS, ollama_blobs, owner, sockets
from exporter.probes.llm.reading import Reading
from exporter.probes.llm.settings import EXAMPLE, Server, Settings
from exporter.probes.llm.sglang import Sglang
from exporter.probes.llm.summary import summarize
from exporter.probes.llm.vllm import Vllm
from exporter.system import files, http_library
from exporter.system.threads import run_in_thread

READ_SHARE = 0.8  # of the timeout: a server that hangs is a fact, and not a probe's timeout
OWNER_EVERY = 60.0  # seconds between two looks at all processes
LEARNT = 64  # files of Ollama's whose models are remembered
KEY_LIMIT = 4096
DOWN = {"refused", "timeout"}


class Reader(Protocol):
    """Reads one server of a kind. paths: all that it asks."""

    paths: frozenset[str]

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports; what it got stands where it fails."""


def _readers(server: Server) -> Mapping[str, Callable[[], Reader]]:
    return {
        "ollama": Ollama,
        "llama.cpp": lambda: LlamaCpp(metrics=server.metrics),
        "llama-swap": LlamaSwap,
        "vllm": Vllm,
        "sglang": Sglang,
        "openai": OpenAi,
    }


class _Watch(Struct):
    """One server over its runs. kind: as configured, or found out and kept until it is down.

    sockets: those that it listened on at the last run. alone: the only model that it had loaded when its
    owner was last looked for, and the file that it ran.
    """

    server: Server
    schedule: Schedule
    host: Host
    kind: str = ""
    version: str = ""
    reader: Reader | None = None
    history: History = field(default_factory=History)
    owner: tuple[str, str] = ("", "")
    owner_due: float = 0.0
    sockets: frozenset[str] = frozenset()
    alone: tuple[str, str] | None = None

    async def collect(self) -> Result:
        """One read of the server.

        Raises:
            ProbeError: what it answered can't be read, or is another kind's.
        """
        reading = Reading()
        restarted = await self._is_restarted()
        started = time.monotonic()
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self.schedule.timeout * READ_SHARE):
                await self._read(reading)
        except Failure as error:
            failure = error
        except TimeoutError:
            failure = Failure("timeout", f"{self.server.url} did not answer in time")
        seconds = time.monotonic() - started
        if failure:
            reading.errors.add(failure.reason)
        self.history.record(reading, time.time(), restarted=restarted)
        self._leave_names(reading)
        samples = Samples()
        summaries = add_reading(samples, self.server.name, reading)
        self.history.add(samples, self.server.name)
        samples.add(READ_SECONDS, seconds, self.server.name)
        if reading.up:
            self.version = reading.version or self.version
            await self._find_owner(reading)
        else:
            self._forget()
        if self.kind:
            samples.add(INFO, 1, self.server.name, self.kind, self.version, *self.owner)
        families = [*samples.families(), *summaries]
        if reading.dropped:
            reading.notes.append(Note(f"{reading.dropped} more models of {self.server.name} are left out"))
        if failure and failure.reason not in DOWN and (failure.reason != "auth" or not reading.up):
            raise ProbeError(f"{self.server.name}: {failure}", failure.hint, families)
        if failure:
            down = "" if reading.up else f"{self.server.name} is down: "
            reading.notes.insert(0, Note(f"{down}{failure}", failure.hint or START_HINT * (not reading.up)))
        return Result(families, tuple(reading.notes))

    async def _read(self, reading: Reading) -> None:
        key = await run_in_thread(_read_key, self.server.api_key_file) if self.server.api_key_file else ""
        await http_library.load()
        async with new_session() as session:
            if self.reader is None:
                client = Client(session, self.server.url, identify.PATHS, key)
                self.kind = self.server.kind or await self._identify(client)
                self.reader = _readers(self.server)[self.kind]()
            await self.reader.read(Client(session, self.server.url, self.reader.paths, key), reading)

    async def _identify(self, client: Client) -> str:
        kind = await identify.identify(client, urlsplit(self.server.url).port)
        if not kind:
            hint = "name its kind, or another url"
            raise Failure("other_kind", "no server of language models that is known answers here", hint)
        return kind

    def _forget(self) -> None:
        if self.server.kind is None:
            self.reader = None
        self.owner_due = 0.0

    async def _is_restarted(self) -> bool:
        """Whether the server listens on another socket than at the last run."""
        if self.server.local_port is None:
            return False
        before, now = self.sockets, await run_in_thread(sockets, self.host, self.server.local_port)
        self.sockets = now or before
        return bool(before and now) and before.isdisjoint(now)

    async def _find_owner(self, reading: Reading) -> None:
        """Finds out whose process the server is, where it is on this host."""
        if time.monotonic() < self.owner_due or self.server.local_port is None:
            return
        self.owner = await run_in_thread(owner, self.host, self.kind, self.server.local_port)
        self.owner_due = time.monotonic() + OWNER_EVERY
        if self.kind == "ollama" and reading.complete:
            self._learn(_loaded(reading), await run_in_thread(ollama_blobs, self.host))

    def _leave_names(self, reading: Reading) -> None:
        """Leaves for the GPU probe what is loaded, and which ports are whose."""
        if self.server.local_port is None:
            return
        if self.kind == "llama-swap":
            ports = {f"llama-swap:{port}": (name,) for port, name in reading.by_port.items()}
            self.host.model_names[f"llm:{self.server.name}"] = ports
        elif self.kind == "ollama":
            self.host.loaded_models[self.server.name] = _loaded(reading)

    def _learn(self, loaded: set[str], blobs: set[str]) -> None:
        """Remembers whose a file is: that of the only model, run alone, in two looks a minute apart."""
        before, self.alone = self.alone, None
        if len(loaded) == len(blobs) == 1:
            (name,), (blob,) = loaded, blobs
            self.alone = (name, blob)
            if self.alone == before:
                known = self.host.model_names.get(f"llm:{self.server.name}", {})
                kept = dict(list(known.items())[-LEARNT:])
                self.host.model_names[f"llm:{self.server.name}"] = kept | {blob: (name,)}


def _loaded(reading: Reading) -> set[str]:
    return {name for name, model in reading.models.items() if model.state == "loaded"}


START_HINT = "see that it runs (systemctl status, docker ps) and that url is where it listens"


def _read_key(path: str) -> str:
    """The key in a file, its first line.

    Raises:
        ProbeError: it can't be read, or holds no key.
    """
    try:
        key = files.read(Path(path), KEY_LIMIT).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ProbeError(f"{path} can't be read: {why}", f"let grid-exporter read {path}") from error
    if not key or not key.isprintable() or " " in key:
        raise ProbeError(f"{path} holds no key", "write the key into it, and nothing else")
    return key


def build(settings: Settings, host: Host) -> list[Probe]:
    """One probe a server; each keeps its metrics when another is added or taken out."""
    schedule = Schedule(ttl=settings.ttl, wait=settings.wait, timeout=settings.timeout)
    return [
        Probe(f"llm:{server.name}", schedule, server, _Watch(server, schedule, host).collect, summarize)
        for server in settings.servers
    ]


async def discover(host: Host) -> Settings | Note:
    """The servers that listen on this host's loopback and answer as one that is known."""
    found = await find_servers(host)
    if not found:
        ports = ", ".join(map(str, sorted(PORTS)))
        text = (
            f"no server of language models answers here: asked who listens on {ports}, or has a server's name"
        )
        return Note(text, f"probes:\n  llm:\n    servers: {EXAMPLE}")
    kinds = [kind for kind, _ in found]
    servers = []
    for kind, url in found:
        base = kind.replace(".", "")
        name = base if kinds.count(kind) == 1 else f"{base}-{urlsplit(url).port}"
        servers.append(Server(name=name, url=url, kind=kind))  # type: ignore[arg-type]
    return Settings(servers=tuple(servers))


KIND = Kind("llm", Settings, build, discover)
