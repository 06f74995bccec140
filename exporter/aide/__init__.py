"""AIDE's checks: run by root in a unit of their own; what is accepted is what a person reviewed."""
