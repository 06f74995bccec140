"""The kinds of probes there are. A new one is a file here (a folder, where it grows) and a line in KINDS."""

from exporter.probe import Kind
from exporter.probes import aide, host
from exporter.probes.commands import probe as commands
from exporter.probes.containers import probe as containers
from exporter.probes.disk import probe as disk
from exporter.probes.gpu import probe as gpu
from exporter.probes.llm import probe as llm
from exporter.probes.services import probe as services
from exporter.probes.tor import probe as tor

KINDS: tuple[Kind, ...] = (
    host.KIND,
    gpu.KIND,
    disk.KIND,
    tor.KIND,
    containers.KIND,
    services.KIND,
    aide.KIND,
    llm.KIND,
    commands.KIND,
)
