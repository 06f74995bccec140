"""Exporter, Prometheus, Alertmanager and Grafana together, on loopback, with the project's own files."""
