"""The panels of the GPU page, by what they are about."""
