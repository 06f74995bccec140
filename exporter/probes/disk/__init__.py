"""Directories of models and the file systems under them."""
