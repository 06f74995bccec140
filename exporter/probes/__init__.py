"""The kinds of probes there are. A new one is a file here and a line in KINDS."""

from exporter.probe import Kind
from exporter.probes import containers, disk, gpu, host, services, tor

KINDS: tuple[Kind, ...] = (
    host.KIND,
    gpu.KIND,
    disk.KIND,
    tor.KIND,
    containers.KIND,
    services.KIND,
)
