"""The scan of one directory of models: a process of its own, made of the standard library alone."""
