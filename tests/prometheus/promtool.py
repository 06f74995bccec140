"""promtool and amtool, and what stands in the project's rule and test files."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "prometheus"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))

needs_promtool = pytest.mark.real("promtool")
needs_amtool = pytest.mark.real("amtool")


def run(*argv: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a tool to its end, and keeps its output."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)


def errors_of(*argv: str | Path) -> str:
    """A checking tool's error message; empty where it finds nothing."""
    done = run(*argv)
    return f"{done.stdout}{done.stderr}exit status {done.returncode}" if done.returncode else ""


def load(path: Path) -> Any:
    """A YAML file's content, the caller's own."""
    return copy.deepcopy(_load(path))


@cache
def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def alert_rules() -> dict[str, dict[str, Any]]:
    """Every committed alerting rule by its alert's name."""
    groups = load(FOLDER / "rules" / "alerts.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def groups_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """A test file's groups by the alert that they are about: the first word of their names."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for group in load(path)["tests"]:
        groups.setdefault(group["name"].split()[0], []).append(group)
    return groups


def selectors(expr: str) -> Iterator[tuple[str, str]]:
    """Each series that an expression reads: its name, and its matchers without braces."""
    yield from re.findall(r"\b(grid_\w+|up|process_\w+)\b(?:\{([^}]*)\})?", expr)
