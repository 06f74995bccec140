"""The status page."""

from exporter.core import Exporter


def status_page(exporter: Exporter) -> str:
    """The page."""
    return f"<p>{len(exporter.cache.runners)} probes</p>"
