from collections.abc import Iterator

import pytest

from exporter.probe import Host
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.probe import collect
from tests.real.container_world import in_every_state
from tests.real.dockerd import Engine, podman, podman_service
from tests.real.engines import by_both
from tests.series import series

pytestmark = pytest.mark.real("podman", "runc", "busybox")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Podman with containers in every state that it has without systemd."""
    with podman() as running:
        in_every_state(running)
        yield running


async def test_every_state(engine: Engine) -> None:
    """Podman's containers come out as Docker's do, with what they use."""
    host = Host()
    result = await collect(CommandLine(engine.argv), host)
    now = series(result.families)
    assert {it for it, value in now.items() if it.startswith("grid_container_state") and value} == {
        f'grid_container_state{{container="{name}",state="{state}"}}'
        for name, state in (
            ("created", "created"),
            ("impossible", "created"),
            ("exited", "exited"),
            ("plain", "running"),
            ("paused", "paused"),
        )
    }
    assert sorted(host.container_names.values()) == ["created", "exited", "impossible", "paused", "plain"]
    assert now['grid_container_exit_code{container="exited"}'] == 7
    assert now['grid_container_memory_limit_bytes{container="plain"}'] == 64 * 1024 * 1024
    assert now['grid_container_memory_bytes{container="paused"}'] > 0
    assert now['grid_container_cpu_seconds_total{container="paused"}'] > 0
    assert now["grid_container_engine_up"] == 1


async def test_podman_is_the_same_both_ways(engine: Engine) -> None:
    """Podman's compatible API and its command line give the same families."""
    checked = ["--health-cmd=true", "--health-interval=disable", "--restart=always", "--label=a=b"]
    engine.start("alike", "sleep", "1000000", options=checked)
    try:
        with podman_service(engine) as host:
            by_command, by_api, by_api_again = await by_both(engine.argv, host)
            assert by_api == by_command
            assert by_api_again == by_command
            engine("healthcheck", "run", "alike")
            assert (await by_both(engine.argv, host))[1] == (await by_both(engine.argv, host))[0]
    finally:
        engine.remove("alike")


async def test_health(engine: Engine) -> None:
    """Podman's health checks show, starting and then as they end."""
    engine.start("checked", "sleep", "1000000", options=["--health-cmd=true", "--health-interval=disable"])
    name = 'grid_container_health{container="checked",health="'
    assert series((await collect(CommandLine(engine.argv), Host())).families)[f'{name}starting"}}'] == 1
    engine("healthcheck", "run", "checked")
    assert series((await collect(CommandLine(engine.argv), Host())).families)[f'{name}healthy"}}'] == 1
