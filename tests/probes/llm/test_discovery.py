"""Who listens on this host, whose process that is, and whether it is a server of language models."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.config.load import parse as parse_config
from exporter.probe import Host, Note
from exporter.probes.llm import discovery, processes
from exporter.probes.llm.probe import discover
from exporter.probes.llm.processes import Listener, listeners, owner
from exporter.probes.llm.settings import Settings
from tests.probes.llm import bodies
from tests.probes.llm.bodies import HARMFUL
from tests.probes.llm.replay import Answer, Replay, as_json, collect, serving
from tests.series import series

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LOOPBACK6 = "00000000000000000000000001000000"
CONTAINER = "ab" * 32


def row(address: str, port: int, inode: int, state: str = "0A") -> str:
    """A socket in /proc/net/tcp."""
    peer = f"{'0' * len(address)}:0000"
    return (
        f"   0: {address}:{port:04X} {peer} {state} 00000000:00000000 00:00000000 00000000  1000        0"
        f" {inode} 1 0000000000000000 100 0 0 10 0\n"
    )


def proc(top: Path, *rows: str, rows6: tuple[str, ...] = ()) -> Host:
    """A host on which these sockets listen."""
    (top / "net").mkdir(exist_ok=True)
    (top / "net/tcp").write_text(HEAD + "".join(rows))
    (top / "net/tcp6").write_text(HEAD + "".join(rows6))
    return Host(proc=top)


def process(host: Host, pid: int, command: str, cgroup: str, *inodes: int) -> None:
    """A process with that name, in that control group, which has these sockets."""
    folder = host.proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{command}\n")
    (folder / "cgroup").write_text(f"0::{cgroup}\n")
    for number, inode in enumerate(inodes):
        (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def test_finds_who_listens_on_loopback(tmp_path: Path) -> None:
    """On 127.0.0.1, on any address, by IPv6; nobody who is connected or listens elsewhere."""
    host = proc(
        tmp_path,
        row("0100007F", 11434, 1),
        row("00000000", 8000, 2),
        row("0A00000A", 8080, 3),
        row("0100007F", 9, 4, "01"),
        "broken\n",
        rows6=(row(LOOPBACK6, 30000, 5), row("0" * 32, 8000, 6)),
    )
    process(host, 77, "ollama", "/", 1)
    assert listeners(host) == [
        Listener("127.0.0.1", 11434, "1", "ollama", 77),
        Listener("127.0.0.1", 8000, "2"),
        Listener("[::1]", 30000, "5"),
    ]


def test_a_host_without_these_files_has_no_listeners(tmp_path: Path) -> None:
    """Where /proc can't be read nobody is found."""
    assert listeners(Host(proc=tmp_path)) == []


@pytest.mark.parametrize(
    ("cgroup", "place"),
    [
        ("/system.slice/ollama.service", ("", "ollama.service")),
        (f"/system.slice/docker-{CONTAINER}.scope", ("webui", "")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/ollama.service", ("", "ollama.service")),
        ("/", ("", "")),
    ],
)
def test_finds_the_container_or_unit_of_a_server(tmp_path: Path, cgroup: str, place: tuple[str, str]) -> None:
    """By the process that listens, or by the only one of that kind."""
    host = proc(tmp_path, row("0100007F", 11434, 1))
    host.container_names[CONTAINER] = "webui"
    process(host, 77, "ollama", cgroup, 1)
    assert owner(host, "ollama", 11434) == place
    (tmp_path / "77/fd/0").unlink()
    assert owner(host, "ollama", 11434) == place


def test_does_not_guess_whose_server_it_is(tmp_path: Path) -> None:
    """Two processes of that kind in different places, none of which is seen to listen, may both be it."""
    host = proc(tmp_path, row("0100007F", 11434, 1))
    process(host, 77, "ollama", "/system.slice/ollama.service")
    process(host, 78, "ollama", f"/docker/{CONTAINER}")
    assert owner(host, "ollama", 11434) == ("", "")


async def test_the_info_names_the_unit(tmp_path: Path) -> None:
    """A server on loopback is joined to its process."""
    async with serving(Replay(bodies.ollama())) as replay:
        host = proc(tmp_path, row("0100007F", int(replay.url.rpartition(":")[2]), 1))
        process(host, 77, "ollama", "/system.slice/ollama.service", 1)
        result = await collect(replay.url, "ollama", host)
    assert (
        'grid_llm_server_info{container="",kind="ollama",server="s",unit="ollama.service",version="0.33.0"}'
    ) in series(result.families)


@contextlib.asynccontextmanager
async def host_with(
    monkeypatch: pytest.MonkeyPatch, top: Path, *tables: dict[str, Answer]
) -> AsyncIterator[tuple[Host, list[Replay]]]:
    """A host with servers that answer so, on ports that count as usual."""
    async with contextlib.AsyncExitStack() as stack:
        replays = [await stack.enter_async_context(serving(Replay(table))) for table in tables]
        ports = [int(replay.url.rpartition(":")[2]) for replay in replays]
        monkeypatch.setattr(discovery, "PORTS", frozenset(ports))
        yield proc(top, *(row("0100007F", port, number) for number, port in enumerate(ports, 1))), replays


async def test_discovers_servers_by_their_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind is found by at most three harmless requests; what is none of them is left alone."""
    web_page = dict.fromkeys(("/api/version", "/metrics", "/v1/models"), Answer("<html>"))
    tables: tuple[dict[str, Answer], ...] = (
        bodies.ollama(),
        {**bodies.llama_cpp(), "/api/version": Answer("", 404, dict(bodies.LLAMA))},
        bodies.vllm(bodies.vllm_metrics()),
        web_page,
        {"/v1/models": as_json({"data": [{"id": "x", "owned_by": "me"}]})},
        {"/v1/models": Answer("", 401)},
        {},
    )
    async with host_with(monkeypatch, tmp_path, *tables) as (host, replays):
        settings = await discover(host)
    assert isinstance(settings, Settings)
    found = {server.name: (server.kind, server.url) for server in settings.servers}
    assert found == {
        "ollama": ("ollama", replays[0].url),
        "llamacpp": ("llama.cpp", replays[1].url),
        "vllm": ("vllm", replays[2].url),
    }
    for replay in replays:
        assert 1 <= len(replay.asked) <= 3
        assert not [line for line in replay.asked if line.partition(" ")[2].startswith((*HARMFUL, "/health"))]


async def test_names_two_servers_of_a_kind_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their ports."""
    async with host_with(monkeypatch, tmp_path, bodies.ollama(), bodies.ollama()) as (host, replays):
        settings = await discover(host)
    assert isinstance(settings, Settings)
    ports = {replay.url.rpartition(":")[2] for replay in replays}
    assert {server.name for server in settings.servers} == {f"ollama-{port}" for port in ports}


async def test_a_port_alone_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers as a server, the note says who was asked and how to name one."""
    async with host_with(monkeypatch, tmp_path, {}) as (host, _):
        note = await discover(host)
    assert isinstance(note, Note)
    assert "llm" in parse_config(note.hint)


async def test_nobody_else_is_asked(tmp_path: Path) -> None:
    """A socket on another port, of a process with another name, is not spoken to."""
    async with serving(Replay(bodies.ollama())) as replay:
        host = proc(tmp_path, row("0100007F", int(replay.url.rpartition(":")[2]), 1))
        process(host, 77, "postgres", "/", 1)
        assert isinstance(await discover(host), Note)
    assert replay.asked == []


async def test_a_servers_name_is_reason_enough_to_ask(tmp_path: Path) -> None:
    """On any port."""
    async with serving(Replay(bodies.ollama())) as replay:
        host = proc(tmp_path, row("0100007F", int(replay.url.rpartition(":")[2]), 1))
        process(host, 77, "ollama", "/", 1)
        settings = await discover(host)
    assert isinstance(settings, Settings)


def test_process_names_fit_the_kernels_field() -> None:
    """The kernel keeps 15 characters of a name."""
    assert all(len(name) <= 15 for name in processes.COMMANDS)
