"""AIDE's checks: run by root in a unit of their own, and accepted as exactly what a person reviewed."""
