"""What a probe found, as a scrape shows it."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from exporter.metrics.exposition import join, render


def series(families: Iterable[Metric]) -> dict[str, float]:
    """Each series' value, by its name and labels as the text format has them, labels sorted."""
    found: dict[str, float] = {}
    for line in join([render(families)]).decode().split("\n"):
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, f"{name} comes twice"
            found[name] = float(value)
    return found
