"""What Prometheus loads, and the Python that writes it."""
