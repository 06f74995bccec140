"""The kinds of probes there are. A new one is a file here and a line in KINDS."""

from exporter.probe import Kind
from exporter.probes import aide, commands, containers, disk, gpu, host, services, tor

KINDS: tuple[Kind, ...] = (
    host.KIND,
    gpu.KIND,
    disk.KIND,
    tor.KIND,
    containers.KIND,
    services.KIND,
    aide.KIND,
    commands.KIND,
)
