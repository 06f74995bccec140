"""The page of the metrics, from the families that the exporter's modules declare."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

from msgspec import Struct, structs

import exporter
from exporter.metrics.families import Family
from exporter.probes import KINDS

HEAD = """# Metrics

Written by `python -m docs` from the families that the code declares: change those, not this.

Units are base units (bytes, seconds, ratios from 0 to 1). Names ending in `_total` are counters, everything
else is a gauge. What a tool gives as unknown or unsupported is absent, never 0. Something that is down is
reported (`grid_tor_up 0`); a probe that could not find out shows in `grid_probe_success`, and its last good
values are served for three times its ttl and its timeout, at most ten minutes. Names and labels stay as they
are within a major version.

Your own [commands](commands.md) add the families that they print, each sample with `command="NAME"`.
"""
TITLES = {"exporter": "The exporter and its probes"}
TABLE = "| family | labels | what it is, and its source |\n|---|---|---|\n"
DEEPEST = 4  # a table of groups of tuples of families, and no further into whatever else a module holds


def families() -> dict[str, dict[str, Family]]:
    """Every family by its name, by the kind of probe that exports it; ``exporter`` for the exporter's own."""
    found: dict[str, dict[str, Family]] = {"exporter": {}, **{kind.name: {} for kind in KINDS}}
    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if module.name.endswith("__main__"):
            continue
        parts = module.name.split(".")
        kind = parts[2] if parts[1] == "probes" and len(parts) > 2 else "exporter"  # noqa: PLR2004
        for family in _within(vars(importlib.import_module(module.name))):
            known = found[kind].setdefault(family.name, family)
            labels = tuple(dict.fromkeys((*known.labels, *family.labels)))
            found[kind][family.name] = structs.replace(known, labels=labels)
    return found


def page() -> str:
    """The whole page, Markdown."""
    sections = [HEAD]
    for kind, group in families().items():
        if group:
            sections.append(f"\n## {TITLES.get(kind, kind)}\n\n{TABLE}{''.join(map(_row, group.values()))}")
    return "".join(sections)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    help_ = family.help.replace("|", "\\|")
    return f"| `{family.name}` | {labels} | {help_} |\n"


def _within(value: object, depth: int = 0) -> Iterator[Family]:
    """The families that a module's value is or holds."""
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
    if isinstance(value, Struct):
        return [getattr(value, name, None) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return []
