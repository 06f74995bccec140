"""A fake box: a directory with tools for PATH that report an invented machine, and all its faults."""
