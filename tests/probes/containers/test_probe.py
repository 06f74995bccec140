import json
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.exposition import join, render
from exporter.probe import Duration, Host, Note, ProbeError
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.inspect_json import Container, by_name, parse
from exporter.probes.containers.probe import (
    Description,
    Settings,
    build,
    collect,
    describe,
    discover,
    measure,
)
from tests.probes.container_tool import FIRST, SECOND, Tool, inspected
from tests.probes.containers.fake_engine import fake_engine
from tests.series import series

CAPTURES = Path(__file__).parents[2] / "captures"
NOTHING = Path("/nonexistent")
BARE = Host(proc=NOTHING, cgroup=NOTHING, root=NOTHING)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """A tool that lists two containers."""
    return Tool(tmp_path)


def everything(containers: Mapping[str, Container], host: Host) -> list[Metric]:
    """All families of these containers."""
    return describe(containers) + measure(containers, host)


def captured(engine: str, name: str) -> dict[str, float]:
    """The series of a recorded container, but for the 0 of each state that it is not in."""
    containers, _ = parse((CAPTURES / engine / "inspect.out").read_bytes())
    return {
        it: value
        for it, value in series(everything(by_name(containers), BARE)).items()
        if f'container="{name}"' in it and not (value == 0 and ("state=" in it or "health=" in it))
    }


def test_container_that_runs() -> None:
    """A container that runs has all of Docker's values, and no exit code."""
    found = captured("docker", "healthy")
    (digits,) = (it.partition('id="')[2][:12] for it in found if "_info" in it)
    identity = f'compose_project="ai",compose_service="llm",container="healthy",id="{digits}"'
    assert found == {
        f'grid_container_info{{{identity},image="test/busybox:1",restart_policy="unless-stopped"}}': 1,
        'grid_container_state{container="healthy",state="running"}': 1,
        'grid_container_health{container="healthy",health="healthy"}': 1,
        'grid_container_restarts_total{container="healthy"}': 0,
        'grid_container_created_timestamp_seconds{container="healthy"}': pytest.approx(1.8e9, rel=0.1),
        'grid_container_started_timestamp_seconds{container="healthy"}': pytest.approx(1.8e9, rel=0.1),
        'grid_container_oom_killed{container="healthy"}': 0,
        'grid_container_watchtower_enabled{container="healthy"}': 0,
        'grid_container_watchtower_monitor_only{container="healthy"}': 0,
    }


def test_container_that_was_killed() -> None:
    """One that the kernel killed has its exit code and the limit that it met, and no health."""
    found = captured("docker", "oom")
    assert found['grid_container_exit_code{container="oom"}'] == 137
    assert found['grid_container_oom_killed{container="oom"}'] == 1
    assert found['grid_container_memory_limit_bytes{container="oom"}'] == 16 * 1024 * 1024
    assert not any("health" in it for it in found)


def test_container_that_keeps_crashing() -> None:
    """One that is being restarted has its restarts and its last exit code."""
    found = captured("docker", "crashing")
    assert found['grid_container_state{container="crashing",state="restarting"}'] == 1
    assert found['grid_container_restarts_total{container="crashing"}'] >= 5
    assert found['grid_container_exit_code{container="crashing"}'] == 1


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_container_that_never_started(engine: str) -> None:
    """One that never ran has no start, no exit code and no limit."""
    names = {it.partition("{")[0] for it in captured(engine, "created")}
    assert names == {
        "grid_container_info",
        "grid_container_state",
        "grid_container_restarts_total",
        "grid_container_created_timestamp_seconds",
        "grid_container_oom_killed",
        "grid_container_watchtower_enabled",
        "grid_container_watchtower_monitor_only",
    }


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_no_restart_policy(engine: str) -> None:
    """No policy is ``no``, though Podman's is empty."""
    (info,) = (it for it in captured(engine, "exited") if "_info" in it)
    assert 'restart_policy="no"' in info


@pytest.mark.parametrize(
    "state", ["created", "running", "paused", "restarting", "removing", "exited", "dead"]
)
def test_one_series_for_every_state(state: str) -> None:
    """Each possible state has a series, one of them 1."""
    text = inspected(FIRST).replace("running", state)
    containers, _ = parse(text.encode())
    states = {k: v for k, v in series(everything(by_name(containers), BARE)).items() if "_state{" in k}
    assert len(states) == 7
    assert [k for k, v in states.items() if v] == [f'grid_container_state{{container="ab",state="{state}"}}']


def test_state_that_nobody_foresaw() -> None:
    """A state of a later engine shows as itself, beside a 0 for each known one."""
    containers, _ = parse(inspected(FIRST).replace("running", "hibernating").encode())
    found = series(everything(by_name(containers), BARE))
    assert found['grid_container_state{container="ab",state="hibernating"}'] == 1
    assert found['grid_container_state{container="ab",state="running"}'] == 0


@pytest.mark.parametrize(
    ("status", "arguments", "up", "updated", "monitored"),
    [
        ("running", [], 1, 1, 0),
        ("running", ["--monitor-only"], 1, 0, 1),
        ("running", ["another"], 1, 0, 0),
        ("exited", [], 0, 0, 0),
    ],
)
def test_watchtower(status: str, arguments: list[str], up: int, updated: int, monitored: int) -> None:
    """A Watchtower that runs updates containers or only watches them; one that doesn't run does neither."""
    raw = json.loads(inspected(FIRST, SECOND))
    raw[0]["Config"] = {"Labels": {"com.centurylinklabs.watchtower.enable": "true"}}
    raw[1] |= {"Config": {"Image": "containrrr/watchtower"}, "State": {"Status": status}, "Args": arguments}
    containers, _ = parse(json.dumps(raw).encode())
    found = series(everything(by_name(containers), BARE))
    assert found["grid_watchtower_up"] == up
    assert found['grid_container_watchtower_enabled{container="ab"}'] == updated
    assert found['grid_container_watchtower_monitor_only{container="ab"}'] == monitored


def test_no_watchtower() -> None:
    """Without a Watchtower nothing is updated, whatever its label, and there is none to be down."""
    found = captured("docker", "healthy")
    assert found['grid_container_watchtower_enabled{container="healthy"}'] == 0
    assert "grid_watchtower_up" not in found


def test_description_is_made_anew_where_it_changed() -> None:
    """The families are the same objects while the engine reports the same, and others where it does not."""
    description = Description()
    one, other = (by_name(parse(inspected(*ids).encode())[0]) for ids in ((FIRST,), (FIRST, SECOND)))
    again = by_name(parse(inspected(FIRST).encode())[0])
    first = description(one)
    assert description(again) is first
    assert series(description(other)) == series(describe(other)) != series(first)
    assert series(description(one)) == series(first)


async def test_names_for_the_gpu(tool: Tool) -> None:
    """A run leaves every container's name by its full id, and takes away those that are gone."""
    host = Host(proc=NOTHING, container_names={"0" * 64: "gone"})
    await collect(CommandLine(tool.argv), host)
    assert host.container_names == {FIRST: "ab", SECOND: "cd"}


async def test_same_name_in_names_for_the_gpu(tool: Tool) -> None:
    """The GPU's metrics name a container as its own do, also where two have one name."""
    host = Host(proc=NOTHING)
    tool.prints("inspect", inspected(FIRST, SECOND).replace("/cd", "/ab"))
    await collect(CommandLine(tool.argv), host)
    assert host.container_names == {FIRST: "ab", SECOND: SECOND[:12]}


async def test_names_for_the_gpu_where_some_are_missing(tool: Tool) -> None:
    """A container that inspect left out runs all the same: its cards' memory keeps the name."""
    host = Host(proc=NOTHING, container_names={FIRST: "old", SECOND: "cd"})
    tool.prints("inspect", inspected(FIRST))
    with pytest.raises(ProbeError):
        await collect(CommandLine(tool.argv), host)
    assert host.container_names == {FIRST: "ab", SECOND: "cd"}


async def test_engine_down(tool: Tool) -> None:
    """An engine that is down is a fact: the run succeeds with it, and leaves the names alone."""
    host = Host(container_names={FIRST: "ab"})
    tool.prints("ps", "", (CAPTURES / "docker" / "down.err").read_text(), 1)
    result = await collect(CommandLine(tool.argv), host)
    assert series(result.families) == {"grid_container_engine_up": 0}
    assert "Is the docker daemon running?" in result.notes[0].text
    assert host.container_names == {FIRST: "ab"}


async def test_no_containers(tool: Tool) -> None:
    """An engine without a container is up, and that is all."""
    tool.prints("ps", "")
    result = await collect(CommandLine(tool.argv), Host())
    assert series(result.families) == {"grid_container_engine_up": 1}
    assert not result.notes


async def test_one_that_is_invalid(tool: Tool) -> None:
    """The run fails for one container that is invalid, with the metrics of the others."""
    tool.prints("inspect", inspected(FIRST, SECOND).replace(f'"{FIRST}"', "3"))
    with pytest.raises(ProbeError, match="1 of 2") as caught:
        await collect(CommandLine(tool.argv), Host(proc=NOTHING))
    found = series(caught.value.families)
    assert found['grid_container_state{container="cd",state="running"}'] == 1
    assert found["grid_container_engine_up"] == 1


@pytest.mark.parametrize(
    ("euid", "options", "listed", "noted"),
    [(0, (), "", False), (1000, (), "", True), (1000, (), FIRST, False), (1000, ("--remote",), "", False)],
)
async def test_podman_of_one_user(
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
    euid: int,
    options: tuple[str, ...],
    listed: str,
    *,
    noted: bool,
) -> None:
    """Podman that shows a plain user nothing may have containers of root's: a note says so."""
    tool.prints("ps", listed)
    tool.prints("inspect", inspected(FIRST))
    podman = Path(tool.argv[0]).with_name("podman")
    # The tool takes its subcommand for the second word.
    podman.write_text(f'#!/bin/sh\n[ "$1" = --remote ] && shift\nexec {tool.argv[0]} - "$@"\n')
    podman.chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: euid)
    result = await collect(CommandLine((str(podman), *options)), BARE)
    assert [note.text for note in result.notes] == (
        ["podman shows this user no containers; it shows everyone only their own"] if noted else []
    )


@pytest.mark.parametrize("script", [True, False])
async def test_podman_by_the_name_of_docker(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, script: bool
) -> None:
    """What podman-docker installs as docker, a script or a link, is podman."""
    tool.prints("ps", "")
    podman = tmp_path / "bin" / "podman"
    podman.parent.mkdir()
    podman.write_text(f'#!/bin/sh\nexec {tool.argv[0]} - "$@"\n')
    podman.chmod(0o755)
    docker = podman.with_name("docker")
    if script:
        docker.write_text(f'#!/bin/sh\nexec {podman} "$@"\n')
        docker.chmod(0o755)
    else:
        docker.symlink_to(podman)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", f"{podman.parent}:/usr/bin:/bin")
    result = await collect(CommandLine(("docker",)), BARE)
    assert [note.text for note in result.notes] == [
        "podman shows this user no containers; it shows everyone only their own"
    ]


def test_use_of_the_box(tmp_path: Path) -> None:
    """What the container's control group has used is reported beside the engine's values."""
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "cgroup").write_text(f"0::/docker/{FIRST}\n")
    group = tmp_path / "docker" / FIRST
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 1500000\n")
    (group / "memory.current").write_text("10000\n")
    (group / "memory.stat").write_text("inactive_file 4000\n")
    containers, _ = parse(inspected(FIRST).replace('"running"', '"running", "Pid": 42').encode())
    found = series(everything(by_name(containers), Host(proc=tmp_path, cgroup=tmp_path)))
    assert found['grid_container_cpu_seconds_total{container="ab"}'] == 1.5
    assert found['grid_container_memory_bytes{container="ab"}'] == 6000


TEXT = st.text(max_size=20) | st.sampled_from(
    ["web", "0001-01-01T00:00:00Z", "true", "\n", '"', "\\", "\0", "{}"]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Id": st.sampled_from([FIRST, SECOND, "0" * 64]),
                "Name": TEXT,
                "State": st.fixed_dictionaries(
                    {"Status": TEXT.filter(bool)},
                    optional={"Health": st.fixed_dictionaries({"Status": TEXT}), "StartedAt": TEXT},
                ),
            },
            optional={
                "Created": TEXT,
                "RestartCount": st.integers(0, 2**63 - 1),
                "Config": st.fixed_dictionaries(
                    {"Image": TEXT, "Labels": st.dictionaries(TEXT, TEXT, max_size=3)}
                ),
            },
        ),
        max_size=5,
    )
)
@settings(max_examples=200)
def test_hostile_words(raw: list[dict[str, object]]) -> None:
    """Whatever words containers bear, valid exposition comes out, no series twice."""
    containers, errors = parse(json.dumps(raw).encode())
    assert not errors
    body = join([render(everything(by_name(containers), BARE))]).decode()
    samples = [sample for family in text_string_to_metric_families(body) for sample in family.samples]
    assert len({(it.name, *sorted(it.labels.items())) for it in samples}) == len(samples)
    assert sum(it.name == "grid_container_info" for it in samples) == len({it["Id"] for it in raw})


def test_build() -> None:
    """There is one probe, with the settings' schedule, and two of equal settings are equal."""
    (probe,) = build(Settings(), Host())
    assert probe.name == "containers"
    assert probe.schedule == Settings(ttl=Duration(2), wait=Duration(5), timeout=Duration(10))
    assert build(Settings(), Host()) == [probe]
    assert build(Settings(command=("podman",)), Host()) != [probe]


@pytest.mark.parametrize(
    ("invalid", "reason"),
    [
        ({"command": ()}, "must name a program"),
        ({"command": ("",)}, "must name a program"),
        ({"host": "/run/docker.sock"}, "^host: expected unix:///path or tcp://host:port"),
        ({"host": "unix:///x", "command": ("docker",)}, "either host or command"),
    ],
)
def test_invalid_settings(invalid: dict[str, Any], reason: str) -> None:
    """A command has to name a program, an address to be one, and there is one way to ask."""
    with pytest.raises(ValueError, match=reason):
        Settings(**invalid)


def listen(path: Path) -> None:
    """Leaves a socket there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.mark.parametrize(
    ("programs", "sockets", "found"),
    [
        (["docker", "podman"], ["var/run/docker.sock"], Settings()),
        ([], ["var/run/docker.sock"], Settings()),
        ([], ["run/podman/podman.sock"], Settings()),
        (["docker", "podman"], [], Settings(command=("podman",))),
        (["docker"], [], None),
        ([], [], None),
    ],
)
async def test_discover(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[str],
    sockets: list[str],
    found: Settings | None,
) -> None:
    """An engine is found where it listens, else Podman's tool; else a note has what to set."""
    monkeypatch.setenv("PATH", str(tree))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for program in programs:
        shutil.copy("/bin/true", tree / program)
    for name in sockets:
        listen(tree / name)
    result = await discover(Host(root=tree))
    assert result == found or (found is None and isinstance(result, Note))
    if isinstance(result, Note):
        assert "probes.containers.host" in result.hint


async def test_way_to_ask(tool: Tool, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API is asked where it listens; the command line without that, and where it is configured."""
    monkeypatch.setenv("PATH", f"{tree}:/usr/bin:/bin")
    docker = tree / "docker"
    docker.write_text(f'#!/bin/sh\nexec {tool.argv[0]} - "$@"\n')
    docker.chmod(0o755)
    host = Host(root=tree, proc=NOTHING, cgroup=NOTHING)
    (probe,) = build(Settings(), host)
    (by_command,) = build(Settings(command=tool.argv), host)
    (by_address,) = build(Settings(command=("docker", "-H", f"unix://{tree}/var/run/docker.sock")), host)
    (elsewhere,) = build(Settings(host=f"unix://{tree}/nowhere.sock"), host)
    assert 'container="ab"' in "".join(series((await probe.run()).families))
    (tree / "var/run").mkdir(parents=True)
    async with fake_engine(tree / "var/run") as engine:
        engine.put("ef" * 32)
        assert 'container="ef"' in "".join(series((await probe.run()).families))
        assert 'container="ef"' in "".join(series((await by_address.run()).families))
        assert 'container="ab"' in "".join(series((await by_command.run()).families))
    listen(tree / "var/run/docker.sock")
    assert series((await probe.run()).families) == {"grid_container_engine_up": 0}
    assert series((await elsewhere.run()).families) == {"grid_container_engine_up": 0}


@pytest.mark.parametrize("own", [True, False])
async def test_discover_podman_of_one_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    """A user who never ran a container is not asked for any: Podman would begin to keep things for them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    shutil.copy("/bin/true", tmp_path / "podman")
    if own:
        (tmp_path / "home/alice/.local/share/containers").mkdir(parents=True)
    found = await discover(Host(root=tmp_path))
    if own:
        assert found == Settings(command=("podman",))
    else:
        assert isinstance(found, Note)
        assert "probes.containers.host: unix:///run/podman/podman.sock" in found.hint
