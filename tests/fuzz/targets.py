"""Everything that reads what others wrote, with that in our hands.

A target reads once, each text passed through ``change`` first, and gives what families come of it. An honest
error is as good as an answer; anything else is raised.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pkgutil
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from exporter import probes
from exporter.aide import aide_report
from exporter.aide.database import count_entries
from exporter.config import load
from exporter.config.strict_yaml import ConfigError
from exporter.probe import Host, ProbeError
from exporter.probes import KINDS
from exporter.probes.containers import api
from exporter.probes.containers.cgroups import parse_groups
from exporter.probes.disk.mounts import parse_mounts
from exporter.probes.llm import client
from exporter.probes.llm import probe as llm
from exporter.probes.tor import control, cookie
from exporter.scanner import models
from exporter.system import cgroup, subprocesses, threads
from exporter.system.secret_files import token_in
from exporter.system.subprocesses import Output
from exporter.web import web_config
from exporter.web.app import takes_gzip
from exporter.web.credentials import Credentials
from tests.box import nvidia_smi
from tests.box.files import CAPTURES
from tests.fuzz import texts
from tests.fuzz.texts import capture
from tests.probes.llm import bodies, replay

Change = Callable[[bytes], bytes]
Target = Callable[[Change], Awaitable[Iterable[Metric]]]
Answer = tuple[int, bytes, bytes]
Session = Callable[[Sequence[str]], Answer]

REASON = 2000  # characters that a person may be asked to read
CODES = (1, 2, 6, 7, 14, 28, 97, 127, 255, -9)


@dataclass(frozen=True)
class Fixtures:
    """What a target is made with. folder: for the files that it reads. threads: whether to use real ones."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    rng: random.Random
    threads: bool = False


Make = Callable[[Fixtures], Target]


def probe(kind: str, settings: object, *sessions: Session, files: Mapping[str, bytes] | None = None) -> Make:
    """A probe whose tools answer as in one of the sessions, and whose files hold this."""

    def make(fixtures: Fixtures) -> Target:
        tools = _Tools(fixtures.rng, sessions)
        _substitute(fixtures.monkeypatch, tools, threads_too=not fixtures.threads)
        run = _run_of(kind, settings, fixtures.folder)

        async def execute(change: Change) -> Iterable[Metric]:
            for name, data in (files or {}).items():
                path = fixtures.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # to overwrite one would wait for the disk
                path.write_bytes(change(data))
            tools.begin(change)
            return await run()

        return execute

    return make


class _Tools:
    """Takes the place of exporter.command.run."""

    def __init__(self, rng: random.Random, sessions: Sequence[Session]) -> None:
        self._rng, self._sessions = rng, sessions or [lambda _: (0, b"", b"")]
        self._session = self._sessions[0]
        self._change: Change = bytes

    def begin(self, change: Change) -> None:
        self._session, self._change = self._rng.choice(self._sessions), change

    async def run(self, *argv: str, limit: int = subprocesses.STDOUT_LIMIT, **_: object) -> Output:
        """Answers, now and then with another exit status, and with no more than a tool may print."""
        assert not any("\0" in word for word in argv), "no such process can be started"
        code, out, err = self._session(argv)
        code = self._rng.choice(CODES) if self._rng.random() < 0.2 else code
        out, err = self._change(out), self._change(err)[: subprocesses.STDERR_LIMIT] if err else err
        return Output(argv, code, out[:limit], err, 0.1)


async def _at_once(work: Callable[..., object], *args: object) -> object:
    """In the place of a thread, of which so many would take most of the time."""
    return work(*args)


def _substitute(monkeypatch: pytest.MonkeyPatch, tools: _Tools, *, threads_too: bool) -> None:
    """Puts these in the place of the real tools and threads, wherever a probe has them from."""
    substitutes: dict[object, object] = {subprocesses.run: tools.run}
    if threads_too:
        substitutes[threads.run_in_thread] = _at_once
    names = [module.name for module in pkgutil.walk_packages(probes.__path__, "exporter.probes.")]
    for module in (subprocesses, *map(importlib.import_module, names)):
        for name, value in vars(module).copy().items():
            if callable(value) and value in substitutes:
                monkeypatch.setattr(module, name, substitutes[value])


def _run_of(kind: str, settings: object, folder: Path) -> Callable[[], Awaitable[Iterable[Metric]]]:
    (which,) = [it for it in KINDS if it.name == kind]
    box = Host(proc=folder / "proc", cgroup=folder / "cgroup", root=folder, state=None)
    (only,) = which.build(load.parse(json.dumps({"probes": {kind: settings}}))[kind], box)

    async def run() -> Iterable[Metric]:
        try:
            return (await only.run()).families
        except ProbeError as error:
            _check(error.reason)
            return error.families

    return run


def parser(parse: Callable[[bytes], object], *good: bytes, errors: type[Exception] = ProbeError) -> Make:
    """A function that reads a text, of which these are good ones; nothing comes of it but an honest error."""

    def make(fixtures: Fixtures) -> Target:
        for text in good:
            parse(text)

        async def execute(change: Change) -> Iterable[Metric]:
            try:
                parse(change(fixtures.rng.choice(good)))
            except errors as error:
                _check(str(error)[:REASON])
            return ()

        return execute

    return make


def authorization(*good: bytes) -> Make:
    """Who may scrape: what is no header of theirs, whatever it is, is answered by no."""

    def make(fixtures: Fixtures) -> Target:
        credentials = Credentials({"alice": texts.HASH}, [texts.TOKEN])

        async def execute(change: Change) -> Iterable[Metric]:
            await credentials.authenticate(
                change(fixtures.rng.choice(good)).decode("utf-8", "surrogateescape")
            )
            return ()

        return execute

    return make


def servers(**tables: Mapping[str, replay.Answer]) -> Make:
    """The probe of a server of language models, one of each of these kinds, whose answers are changed."""

    def make(fixtures: Fixtures) -> Target:
        changes: list[Change] = []
        answers: list[Mapping[str, replay.Answer]] = []

        async def get(_: object, path: str) -> client.Answer:
            answer = answers[-1].get(path.partition("?")[0]) or replay.Answer(status=404)
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            return client.Answer(path, answer.status, answer.headers.get("Server", ""), "", changes[-1](body))

        fixtures.monkeypatch.setattr(client.Client, "get", get)
        fixtures.monkeypatch.setattr(llm, "new_session", contextlib.nullcontext)
        runs = {
            kind: _run_of(
                "llm", {"servers": [{"name": "s", "url": "http://192.0.2.1", "kind": kind}]}, fixtures.folder
            )
            for kind in tables
        }

        async def execute(change: Change) -> Iterable[Metric]:
            kind = fixtures.rng.choice(list(tables))
            changes[:], answers[:] = [change], [tables[kind]]
            return await runs[kind]()

        return execute

    return make


def _check(reason: str) -> None:
    """An error message is one line, and not too long a one."""
    assert "\n" not in reason, reason
    assert len(reason) <= REASON, reason


def surrogates(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """A parser that gets text in which bytes that are not UTF-8 have become surrogates."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def latin(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """A parser that gets text of which each character is a byte."""
    return lambda data: parse(data.decode("latin-1"))


def valid(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """A parser that gets nothing but text."""
    return lambda data: parse(data.decode("utf-8", "replace"))


def always(code: int, out: bytes, err: bytes = b"") -> Session:
    """A tool that answers the same whatever it is asked."""
    return lambda _: (code, out, err)


def cards(name: str) -> Session:
    """nvidia-smi on such a card."""

    def answer(argv: Sequence[str]) -> Answer:
        try:
            code, output = nvidia_smi.answer(CAPTURES / "nvidia-smi" / name, [*argv[1:]])
        except FileNotFoundError:  # not recorded of this card: the tool fails
            code, output = 1, ""
        return code, output.encode("utf-8", "surrogateescape"), b""

    return answer


def engine(name: str, *, gone: bool = False) -> Session:
    """Docker or Podman, while a container goes or not."""

    def answer(argv: Sequence[str]) -> Answer:
        if "ps" in argv:
            return 0, capture(f"{name}/ps.out"), b""
        if gone:
            return 1, capture(f"{name}/gone.out"), capture(f"{name}/gone.err")
        return 0, capture(f"{name}/inspect.out"), b""

    return answer


def systemd(argv: Sequence[str]) -> Answer:
    """Systemctl, asked for itself or for units."""
    return 0, capture("systemd/units.txt" if argv[-1] == "*.timer" else "systemd/manager.txt"), b""


def curls() -> list[Session]:
    """Curl, however it ended."""
    output = json.loads(capture("tor/curl.json")).values()
    return [always(it["code"], it["stdout"].encode(), it["stderr"].encode()) for it in output]


def _with_any_status(data: bytes) -> object:
    """AIDE's report, beside whichever exit status fits it."""
    for status in range(7):
        with contextlib.suppress(ValueError):
            return aide_report.parse(data, status)
    return aide_report.parse(data, 7)


LIST = json.dumps([{"Id": "ab" * 32, "Names": ["/web"], "State": "running", "Status": "Up 2 hours"}]).encode()
PROC = ("meminfo", "stat", "loadavg", "pressure/cpu", "pressure/memory", "pressure/io")
REPORTS = [capture(f"aide/{name}.json") for name in ("changed", "clean", "names", "unhashed", "unreadable")]

TARGETS: dict[str, Make] = {
    "gpu": probe(
        "gpu", {}, *map(cards, ("rtx-4090-loaded", "a100-pair", "h100-mig", "gtx-1080-470", "jetson-orin"))
    ),
    "containers": probe(
        "containers",
        {},
        *(engine(name, gone=gone) for name in ("docker/20.10", "podman") for gone in (False, True)),
    ),
    "services": probe("services", {"categories": {"all": ["*.service"], "timers": ["*.timer"]}}, systemd),
    "tor": probe("tor", {}, *curls()),
    "commands": probe("commands", [{"name": "x", "argv": ["/x"]}], *(always(0, it) for it in texts.PRINTED)),
    "disk": probe(
        "disk",
        {"directories": ["/ai/models"]},
        *(always(0, it) for it in texts.SCANNED),
        files={"proc/self/mountinfo": capture("mountinfo/mountinfo")},
    ),
    "llm": servers(
        **{
            "ollama": bodies.ollama(bodies.loaded("a:b", 7, 5, "2030-01-01T00:00:00.123456789Z")),
            "llama.cpp": bodies.llama_cpp(),
            "llama-swap": bodies.llama_swap({"model": "a", "state": "ready", "ttl": 0}),
            "vllm": bodies.vllm(bodies.vllm_metrics()),
            "sglang": bodies.sglang(bodies.sglang_metrics()),
            "openai": {"/v1/models": replay.as_json({"data": [{"id": "a"}]})},
        }
    ),
    "aide": probe("aide", {"state": "/aide"}, files=texts.AIDE),
    "host": probe("host", {}, files={f"proc/{name}": capture(f"proc/{name}") for name in PROC}),
    "aide report": parser(_with_any_status, *REPORTS, errors=ValueError),
    "aide warnings": parser(
        surrogates(aide_report.judge), capture("aide/busy.stderr"), capture("aide/busy-0.19.stderr")
    ),
    "tor control": parser(latin(control.parse), capture("tor/getinfo.txt")),
    "tor cookie": parser(latin(cookie.parse), capture("tor/protocolinfo.txt")),
    "mountinfo": parser(surrogates(parse_mounts), capture("mountinfo/mountinfo")),
    "containers list": parser(api._parse_list, LIST),
    "cgroup": parser(surrogates(cgroup.parse_containers), texts.MEMBERSHIP),
    "cgroup's files": parser(surrogates(lambda text: parse_groups(text, "ab" * 32)), texts.MEMBERSHIP),
    "aide database": parser(
        lambda data: count_entries(iter(data.splitlines(keepends=True))), texts.DATABASE, errors=ValueError
    ),
    "authorization": authorization(b"Basic YWxpY2U6c2VjcmV0", b"Bearer " + texts.TOKEN),
    "token file": parser(token_in, texts.TOKEN),
    "accept-encoding": parser(latin(takes_gzip), b"gzip, deflate;q=0.5, *;q=0"),
    "manifest": parser(models.manifest_size, texts.MANIFEST, errors=ValueError),
    "configuration": parser(valid(load.parse), texts.CONFIGURATION, errors=ConfigError),
    "web configuration": parser(valid(web_config.parse), texts.WEB_CONFIGURATION, errors=ConfigError),
    "duration": parser(valid(load.duration), b"90s", b"1h30m", b"2m", errors=ValueError),
}
