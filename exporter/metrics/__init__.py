"""Metric families and Prometheus's text format, and nothing else."""
