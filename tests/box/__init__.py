"""A fake box: a directory with tools for PATH that tell of a believable machine, and of all its troubles."""
