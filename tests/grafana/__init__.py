"""Tests of the dashboards: what is generated, and what a real Prometheus says to it."""
