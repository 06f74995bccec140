"""Tests of the dashboards: the generated JSON, and the answers of a real Prometheus."""
