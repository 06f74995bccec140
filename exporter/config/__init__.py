"""The configuration: what is watched, read strictly."""
