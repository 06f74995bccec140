"""Each kind of probe's summary, by what the names of its probes begin with."""

from exporter.probes import aide, host
from exporter.probes.commands.summary import summarize as commands
from exporter.probes.containers.summary import summarize as containers
from exporter.probes.disk.summary import summarize as disk
from exporter.probes.gpu.summary import summarize as gpu
from exporter.probes.llm.summary import summarize as llm
from exporter.probes.services.summary import summarize as services
from exporter.probes.tor.summary import summarize as tor

SUMMARIES = {
    "host": host.summarize,
    "gpu": gpu,
    "disk": disk,
    "tor": tor,
    "containers": containers,
    "services": services,
    "aide": aide.summarize,
    "llm": llm,
    "command": commands,
}
