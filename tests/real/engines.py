"""Both ways to ask an engine, side by side."""

from collections.abc import Sequence
from pathlib import Path

from exporter.probe import Host
from exporter.probes.containers.api import Api
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.probe import collect
from tests.series import series

# What goes on between two questions: the processes' use, and the container that keeps crashing.
MOVING = ("grid_container_cpu_seconds_total", "grid_container_memory_bytes")


def still(found: dict[str, float]) -> dict[str, float | None]:
    """The series, without the values that move."""
    return {
        name: None if name.startswith(MOVING) or 'container="crashing"' in name else value
        for name, value in found.items()
    }


async def by_both(argv: Sequence[str], host: str) -> list[dict[str, float | None]]:
    """The series by the command line; by the API at first, and when it inspects only what changed."""
    api = Api(host, Path("/proc"))
    try:
        results = [await collect(engine, Host()) for engine in (CommandLine(argv), api, api)]
    finally:
        await api.close()
    return [still(series(result.families)) for result in results]
