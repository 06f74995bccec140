"""The bench: the exporter beside what people would use instead, in one run on loopback (``make bench``)."""
