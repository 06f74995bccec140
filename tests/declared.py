"""What the exporter can tell: every family that any of its modules declares."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import exporter
from exporter.metrics.families import Family

DEEPEST = 4  # a table of groups of tuples of families, and no further into whatever else a module holds


def families() -> dict[str, set[str]]:
    """Each family's name and the labels that it may carry."""
    found: dict[str, set[str]] = {}
    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not module.name.endswith("__main__"):
            for family in _within(vars(importlib.import_module(module.name))):
                found.setdefault(family.name, set()).update(family.labels)
    return found


def _within(value: object, depth: int = 0) -> Iterator[Family]:
    if isinstance(value, Family):
        yield value
    elif depth < DEEPEST:
        for part in _parts(value):
            yield from _within(part, depth + 1)


def _parts(value: object) -> list[object]:
    """What a constant is made of, where it is made of parts."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return []
