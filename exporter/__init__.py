"""grid-exporter: tells Prometheus the state of a self-hosted AI box."""

__version__ = "0.2.0"
