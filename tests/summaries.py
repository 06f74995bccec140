"""Each kind of probe's summary, by what the names of its probes begin with."""

from exporter.config.load import parse
from exporter.probe import Host
from exporter.probes import KINDS
from tests.daemon import PROJECT

EXAMPLE = parse((PROJECT / "systemd/config.example.yml").read_text())
SUMMARIES = {
    probe.name.partition(":")[0]: probe.summarize
    for kind in KINDS
    for probe in kind.build(EXAMPLE[kind.name], Host())
}
