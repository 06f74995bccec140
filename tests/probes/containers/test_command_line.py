from pathlib import Path

import pytest

from exporter.probe import ProbeError
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.engine import EngineDown
from tests.probes.container_tool import FIRST, SECOND, Tool, inspected

CAPTURES = Path(__file__).parents[2] / "captures"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """A tool that lists two containers."""
    return Tool(tmp_path)


async def test_two_processes_whatever_the_number(tool: Tool) -> None:
    """One ps and one inspect of all; ids alone are asked for, since no template suits every version."""
    containers, errors = await CommandLine(tool.argv).inspect_all()
    assert [it.id for it in containers] == [FIRST, SECOND]
    assert not errors
    assert tool.calls() == [
        "--host=somewhere ps --all --no-trunc --quiet",
        f"--host=somewhere inspect --type container {FIRST} {SECOND}",
    ]


async def test_configuration_of_whoever_runs_it(tool: Tool, tmp_path: Path) -> None:
    """The tool is kept from the user's own configuration, which may choose another engine."""
    script = Path(tool.argv[0])
    script.write_text(script.read_text().replace("echo ", 'echo "$DOCKER_CONFIG" >>config; echo '))
    await CommandLine(tool.argv).inspect_all()
    assert (tmp_path / "config").read_text() == "/nonexistent\n" * 2


async def test_no_containers(tool: Tool) -> None:
    """Without a container one process suffices."""
    tool.prints("ps", "")
    assert await CommandLine(tool.argv).inspect_all() == ([], "")
    assert len(tool.calls()) == 1


async def test_thousands_of_containers(tool: Tool) -> None:
    """Five thousand ids fit into one command line, and 10 MB of output is taken."""
    ids = [f"{number:064x}" for number in range(5000)]
    tool.prints("ps", "\n".join(ids))
    tool.prints("inspect", inspected(*ids).replace("{", '{"Padding": "' + "x" * 1000 + '", '))
    containers, errors = await CommandLine(tool.argv).inspect_all()
    assert (len(containers), errors) == (5000, "")


async def test_warnings_on_standard_error(tool: Tool) -> None:
    """Warnings beside good output don't matter."""
    tool.prints(
        "ps", FIRST, "WARNING: Error loading config file: permission denied, cannot connect to anything\n"
    )
    tool.prints("inspect", inspected(FIRST), "Emulate Docker CLI using podman.\n")
    assert (await CommandLine(tool.argv).inspect_all())[1] == ""


@pytest.mark.parametrize("engine", ["docker", "docker/20.10", "podman"])
async def test_vanished_container(tool: Tool, engine: str) -> None:
    """A container that is gone when it is asked for is no error, as every tool words it."""
    there = (CAPTURES / engine / "ps.out").read_text().split()[0]
    tool.prints("ps", f"{'0' * 64}\n{there}\n")
    tool.prints(
        "inspect",
        (CAPTURES / engine / "gone.out").read_bytes(),
        (CAPTURES / engine / "gone.err").read_text(),
        1,
    )
    containers, errors = await CommandLine(tool.argv).inspect_all()
    assert [it.id for it in containers] == [there]
    assert not errors


async def test_all_vanished(tool: Tool) -> None:
    """All may vanish."""
    tool.prints("inspect", "[]\n", f"Error: No such object: {FIRST}\nError: No such object: {SECOND}\n", 1)
    assert await CommandLine(tool.argv).inspect_all() == ([], "")


async def test_one_can_not_be_inspected(tool: Tool) -> None:
    """One that can't be inspected is an error with the engine's reason; the others are reported."""
    reason = f"Error response from daemon: readlink /layers/{FIRST}: no such file or directory"
    tool.prints("inspect", inspected(SECOND), f"{reason}\n", 1)
    containers, errors = await CommandLine(tool.argv).inspect_all()
    assert [it.id for it in containers] == [SECOND]
    assert errors == f"{tool.argv[0]} inspect fails for 1 of 2 containers: {reason}"


async def test_one_is_invalid(tool: Tool) -> None:
    """One that is invalid is an error, the others are reported."""
    tool.prints("inspect", inspected(FIRST, SECOND).replace(f'"{FIRST}"', "3"))
    containers, errors = await CommandLine(tool.argv).inspect_all()
    assert [it.id for it in containers] == [SECOND]
    assert "1 of 2" in errors
    assert "$.Id" in errors


async def test_silently_left_out(tool: Tool) -> None:
    """One that inspect leaves out is an error, even with exit status 0."""
    tool.prints("inspect", inspected(FIRST))
    assert "1 of 2" in (await CommandLine(tool.argv).inspect_all())[1]


@pytest.mark.parametrize("subcommand", ["ps", "inspect"])
@pytest.mark.parametrize(
    "error_message",
    [
        (CAPTURES / "docker" / "down.err").read_text(),
        (CAPTURES / "docker" / "20.10" / "down.err").read_text(),
        (CAPTURES / "podman" / "down.err").read_text(),
        "error during connect: Get http://127.0.0.1:1/containers/json: dial tcp: connect: connection refused",
        "failed to connect to the docker API at unix:///x; check if the path is correct: no such file",
    ],
)
async def test_engine_down(tool: Tool, subcommand: str, error_message: str) -> None:
    """However a tool words it, and whenever it happens: an engine that does not run is down."""
    tool.prints(subcommand, "[]\n", error_message, 1)
    with pytest.raises(EngineDown) as down:
        await CommandLine(tool.argv).inspect_all()
    assert str(down.value) in error_message


@pytest.mark.parametrize("subcommand", ["ps", "inspect"])
@pytest.mark.parametrize("version", ["docker", "docker/20.10"])
async def test_socket_that_may_not_be_opened(tool: Tool, subcommand: str, version: str) -> None:
    """The hint names the group, what it gives away, and the proxy."""
    tool.prints(subcommand, "", (CAPTURES / version / "denied.err").read_text(), 1)
    with pytest.raises(ProbeError, match="may not open the engine's socket: permission denied") as caught:
        await CommandLine(tool.argv).inspect_all()
    assert "group docker, which makes it root" in caught.value.hint
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize(
    "out", ["json\njson\n", "CONTAINER ID\n", f"{FIRST[:12]}\n", f"--all {FIRST}\n", b"\xff\0", "-"]
)
async def test_ps_prints_something_else(tool: Tool, out: str | bytes) -> None:
    """What is no id never becomes an argument (20.10 answers some formats with the format itself)."""
    tool.prints("ps", out)
    with pytest.raises(ProbeError, match="what is no container's id"):
        await CommandLine(tool.argv).inspect_all()
    assert len(tool.calls()) == 1


@pytest.mark.parametrize("out", ["", "nonsense", b"\0\xff", inspected(FIRST)[:-9], "{}"])
async def test_inspect_prints_something_else(tool: Tool, out: str | bytes) -> None:
    """Empty, cut off and binary output is an error with a reason."""
    tool.prints("inspect", out)
    with pytest.raises(ProbeError, match="is invalid"):
        await CommandLine(tool.argv).inspect_all()


@pytest.mark.parametrize("subcommand", ["ps", "inspect"])
async def test_other_failures(tool: Tool, subcommand: str) -> None:
    """Any other failure is reported with the tool's own message."""
    tool.prints(subcommand, "", "Error response from daemon: client version 1.24 is too old\n", 1)
    with pytest.raises(ProbeError, match=f"docker {subcommand}: Error response from daemon: client version"):
        await CommandLine(tool.argv).inspect_all()


async def test_not_installed(tmp_path: Path) -> None:
    """A tool that isn't there is reported as missing."""
    with pytest.raises(ProbeError, match="is not installed"):
        await CommandLine((str(tmp_path / "docker"),)).inspect_all()


async def test_more_ids_than_a_box_has_containers(tool: Tool) -> None:
    """A list without end is an error before it is read: it would hold up the event loop for seconds."""
    tool.prints("ps", "\n".join(f"{number:064x}" for number in range(60_000)))
    with pytest.raises(ProbeError, match="printed more than 1024 KiB"):
        await CommandLine(tool.argv).inspect_all()
