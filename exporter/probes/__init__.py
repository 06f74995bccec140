"""The kinds of probes there are. A new one is a file here and a line in KINDS."""

from exporter.probe import Kind
from exporter.probes import host

KINDS: tuple[Kind, ...] = (host.KIND,)
