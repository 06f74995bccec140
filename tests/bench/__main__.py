"""Runs the bench: ``python -m tests.bench [PART...]``. Tables on standard output, and in a file.

It starts everything itself, on loopback, and needs wrk and node_exporter (``make parts``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import cpu, growth, machine, memory, minute, start, storms, viewers
from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.report import Table, from_document

RESULTS = Path(__file__).with_name("results.md")
NEEDED = ("wrk", "prometheus-node-exporter")
INTRODUCTION = """\
# What `make bench` found

Each value is of one run of `make bench` on one machine; read them as ratios. Targets stand in brackets. Where
a table names a load average, its part was run again by itself, with others at work on the machine.
"""

PARTS: dict[str, Callable[[Path, Calm, Effort], list[Table]]] = {
    "storms": storms.tables,
    "viewers": viewers.tables,
    "minute": minute.tables,
    "cpu": cpu.tables,
    "memory": memory.tables,
    "start": start.tables,
    "growth": growth.tables,
}


def main() -> int:
    """Runs the parts; the exit status says whether there was a target that was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the exporter.")
    # argparse holds the default of no part at all, an empty list, against the choices too.
    parser.add_argument(
        "part", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)}; all by default"
    )
    chosen = parser.parse_args().part or list(PARTS)
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        parser.error(f"not installed: {', '.join(missing)} (make parts installs them on Debian)")
    began, calm, found = time.monotonic(), Calm(), []
    with tempfile.TemporaryDirectory() as directory:
        for name in chosen:
            for table in PARTS[name](_fresh(directory, name), calm, Effort()):
                print(table.markdown(), flush=True)
                found.append(table)
    setting = {**machine.describe(), "calm": calm.noise(), "took": f"{time.monotonic() - began:.0f} s"}
    if chosen == list(PARTS):
        keep(setting, found)
    else:
        keep_part(found)
    missed = [f"{table.title}: {case}" for table in found for case in table.missed()]
    sys.stdout.write("\n".join(["missed:", *missed, ""]) if missed else "every target is met\n")
    return 1 if missed else 0


def _fresh(directory: str, name: str) -> Path:
    path = Path(directory, name)
    path.mkdir()
    return path


def keep(setting: dict[str, str], found: list[Table]) -> None:
    """Writes the results beside this file, for README to quote and for machines to read."""
    where = "\n".join(f"- {name}: {what}" for name, what in setting.items())
    RESULTS.write_text("\n".join([INTRODUCTION, where, "", *(table.markdown() for table in found)]))
    document = {"setting": setting, "tables": [table.document() for table in found]}
    RESULTS.with_suffix(".json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def keep_part(found: list[Table]) -> None:
    """Puts tables in the place of those of the same title, each with the load average that it was made at."""
    kept = json.loads(RESULTS.with_suffix(".json").read_text())
    tables = {table["title"]: from_document(table) for table in kept["tables"]}
    for table in found:
        table.setting += f" Run again by itself, at a load average of {os.getloadavg()[1]:.0f}."
        tables[table.title] = table
    keep(kept["setting"], list(tables.values()))


if __name__ == "__main__":
    sys.exit(main())
