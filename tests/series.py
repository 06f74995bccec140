"""What a probe found, as a scrape shows it."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from exporter.metrics.exposition import join, render
from tests.strict import parsed

KNOWN = "grid_probe_ttl_seconds"  # each probe has one, whatever becomes of it


def series(families: Iterable[Metric]) -> dict[str, float]:
    """Each series' value, by its name and labels as the text format has them, labels sorted."""
    found: dict[str, float] = {}
    for line in join([render(families)]).decode().split("\n"):
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, f"{name} comes twice"
            found[name] = float(value)
    return found


def unsuccessful(body: bytes) -> list[str]:
    """The probes of a scrape whose last run was no success, or that have had none yet, by their labels."""
    found = parsed(body.decode())
    probes = [name.removeprefix(KNOWN) for name in found if name.startswith(KNOWN)]
    return [probe for probe in probes if found.get(f"grid_probe_success{probe}") != 1]
