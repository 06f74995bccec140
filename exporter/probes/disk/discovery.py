"""Where directories of models usually lie."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from msgspec import Struct

from exporter.probe import ProbeError
from exporter.probes.disk.scan_result import SCANNER
from exporter.system.subprocesses import run

USUAL = (
    "$HF_HOME",
    "$HOME/.cache/huggingface/hub",
    "/home/*/.cache/huggingface/hub",
    "$HOME/.ollama/models",
    "/home/*/.ollama/models",
    "/usr/share/ollama/.ollama/models",
    "/ai/models",
    "/srv/models",
)
TIMEOUT = 3.0  # seconds for each place; one on a dead mount never answers


class DirectoryList(Struct, frozen=True):
    """The directories that are there, none of them inside another or there under two names.

    unreadable: places where this user may not see whether there is one.
    """

    directories: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


async def find_directories(root: Path) -> DirectoryList:
    """The directories at all usual places under ``root``.

    Each place has a process of its own, so that a dead mount hides nothing but what lies on it.
    """
    tasks = [asyncio.create_task(_find(str(root).rstrip("/") + place)) for place in absolute(USUAL)]
    done, hung = await asyncio.wait(tasks, timeout=TIMEOUT)
    for task in hung:
        task.cancel()  # it ends with its process, which is not awaited
    real = dict(pair for task in done for pair in task.result())
    unreadable = sorted(path for path, place in real.items() if not place)
    return DirectoryList(outermost({path: place for path, place in real.items() if place}), tuple(unreadable))


def absolute(places: tuple[str, ...]) -> list[str]:
    """The places as paths, each once; without those whose variable is not set."""
    paths = [os.path.expandvars(place) for place in places]
    return list(dict.fromkeys(os.path.normpath(path) for path in paths if path.startswith("/")))


def outermost(real: dict[str, str]) -> tuple[str, ...]:
    """The paths whose real path (given for each) is none of the others' and lies in none of them."""
    kept: dict[str, str] = {}
    for path, place in sorted(real.items()):
        if not any(place.startswith(f"{other}/") for other in real.values()):
            kept.setdefault(place, path)
    return tuple(kept.values())


async def _find(place: str) -> list[tuple[str, str]]:
    """The directories at a place, each with its real path, as `exporter.scanner.scan.find` gives them."""
    try:
        output = await run(sys.executable, "-I", "-S", str(SCANNER), "--find", place)
    except ProbeError:
        return []
    return [(path, real) for path, real in json.loads(output.stdout)] if output.code == 0 else []
