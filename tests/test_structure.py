"""What may import what, and what only one file may do. Read from the source, without running it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from exporter.probes import KINDS
from tests.daemon import PROJECT

PACKAGES = ("exporter", "prometheus", "grafana")

# Each room may import those before it, never one after it.
ORDER = (
    "exporter", "exporter.scanner", "exporter.humanize", "exporter.metrics", "exporter.probe",
    "exporter.system", "exporter.aide", "exporter.probes", "exporter.config", "exporter.engine",
    "exporter.status", "exporter.web", "exporter.daemon", "exporter.doctor", "exporter.__main__",
    "prometheus", "grafana",
)  # fmt: skip
# Rooms that must not know any kind of probe; AIDE's endpoints and subcommand are HTTP and the command line.
GENERAL = ("exporter.metrics", "exporter.system", "exporter.config", "exporter.engine", "exporter.status",
           "exporter.web", "exporter.daemon", "exporter.doctor", "exporter.__main__")  # fmt: skip
ALLOWED = {name: {"aide"} for name in ("exporter.__main__", "exporter.web.app", "exporter.web.aide_api")}


@cache
def modules() -> dict[str, Path]:
    """Every module's name and file."""
    files = (path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts): path for path in files}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def imports(module: str) -> Iterator[str]:
    """The names that a module imports, wherever in it."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"a relative import in {module}"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """The part of the project that a module, or a name in it, belongs to."""
    package, _, rest = name.partition(".")
    inner = f"{package}.{rest.partition('.')[0]}"
    return inner if inner in ORDER else package


def test_every_module_belongs_to_a_known_room() -> None:
    """A new room, or a file beside the rooms, has to find its place in ORDER."""
    inside = {name for name in modules() if name.startswith("exporter.") and name != "exporter.__init__"}
    assert {name for name in inside if room(name) == "exporter"} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_run_one_way(module: str) -> None:
    """No module imports from a room after its own."""
    place = ORDER.index(room(module))
    ours = [name for name in imports(module) if name.partition(".")[0] in PACKAGES]
    assert [name for name in ours if ORDER.index(room(name)) > place] == []


def test_the_exporter_needs_neither_rules_nor_dashboards() -> None:
    """It imports nothing of the other packages, and none of the tests."""
    others = {"prometheus", "grafana", "tests"}
    ours = [name for name in modules() if name.startswith("exporter")]
    assert [name for name in ours if others & {used.partition(".")[0] for used in imports(name)}] == []


def test_the_scanner_needs_the_standard_library_alone() -> None:
    """It is a process of its own, started for each directory: what it does not import costs no time."""
    used = {
        name.partition(".")[0]
        for module in modules()
        if room(module) == "exporter.scanner"
        for name in imports(module)
        if room(name) != "exporter.scanner"
    }
    assert used <= sys.stdlib_module_names


@pytest.mark.parametrize("module", [name for name in sorted(modules()) if room(name) in GENERAL])
def test_nothing_outside_its_folder_knows_a_kinds_name(module: str) -> None:
    """The engine, the status page, HTTP and the configuration treat all kinds alike."""
    kinds = {kind.name for kind in KINDS} - {"host"}  # which is a URL's part, too
    constants = {node.value for node in ast.walk(tree(module)) if isinstance(node, ast.Constant)}
    assert kinds & constants <= ALLOWED.get(module, set())


def test_checks_run_as_root_load_no_http() -> None:
    """What reaches root's part of AIDE stays small: importing any of it brings no aiohttp."""
    names = [name for name in modules() if room(name) == "exporter.aide" and "__" not in name]
    assert "exporter.aide.accept_request" in names
    script = f"import sys, {', '.join(names)}; sys.exit('aiohttp' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], cwd=PROJECT, timeout=60, check=False).returncode == 0
    )


def test_one_file_starts_processes() -> None:
    """asyncio.create_subprocess_exec is called in one place; threads start in one place, too."""
    words: dict[str, set[str]] = {}
    for module in modules():
        if module.startswith("exporter."):
            for node in ast.walk(tree(module)):
                for name in _names(node):
                    words.setdefault(name, set()).add(module)
    assert words["create_subprocess_exec"] == {"exporter.system.subprocesses"}
    assert words["Thread"] == {"exporter.system.threads"}
    forbidden = {"Popen", "_thread", "subprocess", "create_subprocess_shell", "system", "posix_spawn", "fork"}
    callers = {name: words[name] for name in forbidden & words.keys()}
    assert callers in ({}, {"subprocess": {"exporter.system.subprocesses"}})


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.name for alias in node.names)
