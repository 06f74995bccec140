"""Units by name: what can be a name, which category one belongs to, and which are made at random."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from exporter.probes.services.systemctl import Properties

Categories = Mapping[str, Sequence[str]]  # to the names and patterns of each one's units

TYPE = re.compile(r"\.(service|socket|timer|path|mount|automount|swap|target|slice|scope|device)$")
NAME = re.compile(r"(?!\.\w+$)[A-Za-z0-9:_.\\@*?\[\]!-]{1,255}")
# Made by Podman for each health check and container, and by systemd-run, logins and desktops.
RANDOM = re.compile(r"[0-9a-f]{32}", re.ASCII)
NUMBERED = re.compile(r"^run-|[-.]\d+\.\w+$|[0-9a-f]{12}", re.ASCII)
PATTERN = re.compile(r"[*?\[]")


def full_name(name: str) -> str:
    """The name with its type, as systemctl completes it; a pattern stays as it is."""
    return name if TYPE.search(name) or PATTERN.search(name) else f"{name}.service"


def wanted(categories: Categories) -> set[str]:
    """The units that are configured by name."""
    return {name for names in categories.values() for name in names if not PATTERN.search(name)}


def is_random(unit: Properties) -> bool:
    """Whether the unit was given a name that no other will ever have: each would be a series of its own."""
    transient = unit.get("UnitFileState") == "transient"
    return bool(RANDOM.search(unit["Id"]) or (transient and NUMBERED.search(unit["Id"])))


def category_of(names: set[str], categories: Categories) -> str | None:
    """The first category of which a name or pattern matches one of the unit's names."""
    for category, patterns in categories.items():
        if any(_matches(name, pattern) for name in names for pattern in patterns):
            return category
    return None


def _matches(name: str, pattern: str) -> bool:
    """Most are names, for each of which fnmatch would make a regular expression."""
    return name == pattern or (PATTERN.search(pattern) is not None and fnmatchcase(name, pattern))
