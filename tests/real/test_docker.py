import asyncio
import http.client
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.probe import Host, ProbeError
from exporter.probes.containers.api import Api
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.probe import collect
from tests.real.container_world import in_every_state, in_states_of_docker
from tests.real.dockerd import FOR_EVER, Docker, dockerd, processes, until
from tests.real.engines import by_both
from tests.series import series

pytestmark = pytest.mark.real("dockerd", "docker", "busybox")

# Debian's and, where another is found first, that: one old and one new tool on the machines that have both.
TOOLS = sorted({tool for tool in (shutil.which("docker"), "/usr/bin/docker") if tool and Path(tool).exists()})


@pytest.fixture
def docker(docker: Docker) -> Iterator[Docker]:
    """The daemon, without a container before and after."""
    yield docker
    docker.remove()


async def collected(argv: Sequence[str], host: Host | None = None) -> dict[str, float]:
    """The series of one run."""
    result = await collect(CommandLine(argv), host or Host())
    return series(result.families)


def on(what: str, name: str, **labels: str) -> str:
    """The name of a container's series."""
    inside = ",".join(f'{label}="{value}"' for label, value in sorted({"container": name, **labels}.items()))
    return f"grid_container_{what}{{{inside}}}"


@pytest.fixture(scope="module")
def world() -> Iterator[Docker]:
    """A daemon of its own with containers in every state."""
    with dockerd() as docker:
        in_every_state(docker)
        in_states_of_docker(docker)
        yield docker


@pytest.mark.parametrize("tool", TOOLS)
async def test_every_state_and_health(world: Docker, tool: str) -> None:
    """Every container is shown in the state that it was brought into, by an old and a new tool alike."""
    now = await collected((tool, *world.argv[1:]))
    states = {it for it, value in now.items() if it.startswith("grid_container_state") and value}
    assert states >= {
        on("state", "created", state="created"),
        on("state", "impossible", state="created"),
        on("state", "plain", state="running"),
        on("state", "paused", state="paused"),
        on("state", "exited", state="exited"),
        on("state", "oom", state="exited"),
    }
    assert len(states) == 11
    assert {it for it, value in now.items() if it.startswith("grid_container_health") and value} == {
        on("health", name, health=name) for name in ("healthy", "unhealthy", "starting")
    }
    assert now[on("exit_code", "exited")] == 7
    assert now[on("exit_code", "impossible")] == 127
    assert now[on("exit_code", "done")] == 0
    assert now[on("oom_killed", "oom")] == 1
    assert now[on("memory_limit_bytes", "plain")] == 64 * 1024 * 1024
    assert now[on("restarts_total", "crashing")] >= 5
    assert now[on("created_timestamp_seconds", "created")] == pytest.approx(time.time(), abs=600)
    assert on("started_timestamp_seconds", "created") not in now
    assert on("exit_code", "plain") not in now


@pytest.mark.parametrize("tool", TOOLS)
async def test_docker_is_the_same_both_ways(world: Docker, tool: str) -> None:
    """The API and each command line give the same families of containers in every state."""
    for _ in range(5):  # a container that restarts just then is another one for the second that asks
        by_command, by_api, by_api_again = await by_both((tool, *world.argv[1:]), f"unix://{world.socket}")
        if by_api == by_api_again == by_command:
            return
    assert by_api == by_command
    assert by_api_again == by_command


async def test_hostile_label(world: Docker) -> None:
    """A label of quotes, newlines and 10,000 characters comes out as one valid, bounded label value."""
    now = await collected(world.argv)
    (info,) = (it for it in now if it.startswith("grid_container_info") and 'container="plain"' in it)
    assert 'compose_project="qu\\"ote\\\\back\\\\nline\\\\x01é' in info
    assert "\n" not in info
    assert len(info) < 600


async def test_same_names_as_the_engine(world: Docker) -> None:
    """What is left for the GPU probe is the engine's own list of ids and names."""
    host = Host()
    await collected(world.argv, host)
    listed = world("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    assert host.container_names == dict(line.split() for line in listed.splitlines())


async def test_odd_names(docker: Docker) -> None:
    """Names at the bounds of what Docker takes, one of them another's short id, stay apart."""
    first = docker.create("0-._-")
    long = "n" * 400
    docker.create(long)
    docker.create(first[:12])
    now = await collected(docker.argv)
    infos = [it for it in now if it.startswith("grid_container_info")]
    assert len(infos) == 3
    assert sum(f'container="{first[:12]}"' in it for it in infos) == 1
    assert sum('container="0-._-"' in it for it in infos) == 1
    assert len({it for it in now if 'state="created"' in it and "nnnn" in it}) == 1


@pytest.mark.parametrize("image", ["containrrr/watchtower:latest", "mine/updater:1"])
async def test_watchtowers_rule(docker: Docker, image: str) -> None:
    """What a Watchtower updates follows from its arguments, its environment and the containers' labels."""
    watch = "com.centurylinklabs.watchtower"
    entrypoint = 'ENTRYPOINT ["/watchtower"]'
    docker.build("containrrr/watchtower:latest", entrypoint)
    docker.build("mine/updater:1", f"LABEL {watch}=true", entrypoint)
    docker.create("unset")
    docker.create("wanted", f"--label={watch}.enable=true")
    docker.create("unwanted", f"--label={watch}.enable=false")
    docker.create("monitored", f"--label={watch}.monitor-only=true")

    async def updated(*arguments: str, options: Sequence[str] = ()) -> tuple[float | None, str]:
        docker.start("tower", *arguments, image=image, options=options)
        try:
            return await now()
        finally:
            docker.remove("tower")

    async def now() -> tuple[float | None, str]:
        found = await collected(docker.argv)
        names = ("unset", "wanted", "unwanted", "monitored")
        updates = [name for name in names if found[on("watchtower_enabled", name)]]
        return found.get("grid_watchtower_up"), " ".join(updates)

    assert await now() == (None, "")
    assert await updated() == (1, "unset wanted")
    assert await updated("-ce", "--interval", "300") == (1, "wanted")
    assert await updated("unset", "monitored") == (1, "unset")
    assert await updated(options=["--env=WATCHTOWER_LABEL_ENABLE=true"]) == (1, "wanted")
    assert await updated(options=["--env=WATCHTOWER_DISABLE_CONTAINERS=unset other"]) == (1, "wanted")
    assert await updated(options=["--env=WATCHTOWER_MONITOR_ONLY=true"]) == (1, "")
    docker.start("tower", image=image)
    docker("kill", "tower")
    assert await now() == (0, "")


async def test_container_vanishes_between_list_and_inspect(docker: Docker, tmp_path: Path) -> None:
    """A container removed after it was listed is simply gone; the other is reported."""
    docker.start("stays", *FOR_EVER)
    docker.start("victim", *FOR_EVER)
    tool = tmp_path / "docker"
    command_line = " ".join(docker.argv)
    tool.write_text(f"""#!/bin/sh
case "$1" in inspect) {command_line} rm --force victim >/dev/null;; esac
exec {command_line} "$@"
""")
    tool.chmod(0o755)
    host = Host()
    now = await collected((str(tool),), host)
    assert list(host.container_names.values()) == ["stays"]
    assert now["grid_container_engine_up"] == 1
    assert not any("victim" in it for it in now)


async def test_frozen_daemon(docker: Docker) -> None:
    """A daemon that answers nothing hangs the tool; ending the run leaves no process, the next is well."""
    with docker.frozen():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collect(CommandLine(docker.argv), Host()), 0.5)
        assert not processes(" ".join(docker.argv))
    assert (await collected(docker.argv))["grid_container_engine_up"] == 1


@pytest.mark.parametrize("tool", TOOLS)
async def test_daemon_dies(tool: str) -> None:
    """A daemon that was killed and left its socket behind is down, and so is one that took it along."""
    with dockerd(tool) as docker:
        docker.create("there")
        assert on("state", "there", state="created") in await collected(docker.argv)
        docker.daemon.kill()
        docker.daemon.wait()
        assert docker.socket.exists()
        assert await collected(docker.argv) == {"grid_container_engine_up": 0}
        docker.socket.unlink()
        assert await collected(docker.argv) == {"grid_container_engine_up": 0}


async def test_api_of_an_engine_that_dies_and_is_closed_to_others() -> None:
    """The API's socket is for root and a group; a killed daemon is down, a frozen one late."""
    with dockerd() as docker:
        docker.create("there")
        api = Api(f"unix://{docker.socket}", Path("/proc"))
        assert on("state", "there", state="created") in series((await collect(api, Host())).families)
        with docker.frozen(), pytest.raises(TimeoutError):
            await asyncio.wait_for(collect(api, Host()), 0.5)
        assert on("state", "there", state="created") in series((await collect(api, Host())).families)
        os.seteuid(65534)
        try:
            with pytest.raises(ProbeError, match="may not open the engine's socket"):
                await collect(Api(f"unix://{docker.socket}", Path("/proc")), Host())
        finally:
            os.seteuid(0)
        docker.daemon.kill()
        docker.daemon.wait()
        assert docker.socket.exists()
        assert series((await collect(api, Host())).families) == {"grid_container_engine_up": 0}
        docker.socket.unlink()
        assert series((await collect(api, Host())).families) == {"grid_container_engine_up": 0}
        await api.close()


@pytest.mark.parametrize("tool", TOOLS)
async def test_socket_for_root_and_a_group_alone(docker: Docker, tool: str) -> None:
    """A user without the group gets a hint; one with the group sees everything."""
    docker.create("there")
    someone = ("setpriv", "--reuid=65534", "--regid=65534")
    rest = (tool, *docker.argv[1:])
    with pytest.raises(ProbeError, match="may not open the engine's socket") as caught:
        await collected((*someone, "--clear-groups", *rest))
    assert "group docker, which makes it root" in caught.value.hint
    group = docker.socket.stat().st_gid
    now = await collected((*someone, f"--groups={group}", *rest))
    assert on("state", "there", state="created") in now


@pytest.mark.parametrize("tool", TOOLS)
async def test_proxy_that_lets_only_get_through(docker: Docker, tool: str) -> None:
    """The probe asks nothing but by GET, so it works by TCP through a proxy that forbids all else."""
    docker.create("there")
    refused: list[str] = []

    async def relay(request: web.Request) -> web.Response:
        if request.method != "GET":
            refused.append(request.method)
            raise web.HTTPForbidden
        connector = aiohttp.UnixConnector(str(docker.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://docker{request.path_qs}") as answer,
        ):
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type
            )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", relay)
    async with TestServer(app) as proxy:
        address = f"tcp://127.0.0.1:{proxy.port}"
        by_command, by_api, by_api_again = await by_both((tool, "-H", address), address)
    assert on("state", "there", state="created") in by_command
    assert by_api == by_api_again == by_command
    assert set(refused) <= {"HEAD"}


class Connection(http.client.HTTPConnection):
    """HTTP through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("docker")
        self.path = path

    def connect(self) -> None:
        """Opens the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def statistics(docker: Docker, name: str) -> Any:
    """The engine's own metrics of a container, as `docker stats` gets them."""
    connection = Connection(docker.socket)
    connection.request("GET", f"/containers/{name}/stats?stream=false")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def shown_by_docker_stats(docker: Docker, name: str) -> list[float]:
    """A container's memory and its limit in bytes, as `docker stats` shows them."""
    units = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    shown = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", name).split(" / ")
    return [float(amount[:-3]) * units[amount[-3:]] for amount in shown]


async def test_metrics_of_docker_stats(docker: Docker) -> None:
    """Processor time and memory are those of `docker stats`; the container is paused to keep them still."""
    work = (
        "dd if=/dev/zero of=/file bs=1M count=32; n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; echo done"
    )
    docker.start("worker", "sh", "-c", f"{work}; sleep 1000000", options=["--memory=256m"])
    until(lambda: "done" in docker("logs", "worker"))
    docker("pause", "worker")
    now = await collected(docker.argv)
    theirs = statistics(docker, "worker")
    seconds = theirs["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    assert now[on("cpu_seconds_total", "worker")] == pytest.approx(seconds, rel=1e-3)
    # Of the 32 MiB of file that it wrote and nobody reads little counts; the kernel's part moves a while.
    memory, limit = shown_by_docker_stats(docker, "worker")
    end = time.monotonic() + 60
    while abs(now[on("memory_bytes", "worker")] - memory) > 2**20 and time.monotonic() < end:
        now, (memory, limit) = await collected(docker.argv), shown_by_docker_stats(docker, "worker")
    assert theirs["memory_stats"]["usage"] - memory > 16 * 2**20
    assert now[on("memory_bytes", "worker")] == pytest.approx(memory, abs=2**20)
    assert now[on("memory_limit_bytes", "worker")] == limit
