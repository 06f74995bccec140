"""grid-exporter: tells Prometheus the state of a self-hosted AI box."""

__version__ = "0.1.0"
