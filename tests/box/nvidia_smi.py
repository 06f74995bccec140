"""Replays a recorded session of nvidia-smi: ``nvidia_smi.py SESSION ARGUMENT...``, arguments as the tool's.

A session is a directory: help-query-gpu.txt as the tool prints it; query-gpu.csv and query-compute-apps.csv
as ``--format=csv,nounits`` prints them for every field there is. Asked for some, it prints their columns.
A session without a card says so, as the tool does.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FREE_TEXT = {"name", "process_name"}  # nothing is quoted, and a name may hold commas


def names(header: str) -> list[str]:
    """The columns' fields, without units."""
    return [column.partition(" [")[0] for column in header.split(", ")]


def cells(row: str, columns: list[str]) -> list[str]:
    """A row's cells: what it has too many belongs to the free text."""
    parts = row.split(", ")
    extra = len(parts) - len(columns)
    at = next((n for n, column in enumerate(columns) if column in FREE_TEXT), 0)
    return [*parts[:at], ", ".join(parts[at : at + extra + 1]), *parts[at + extra + 1 :]]


def aliases(help_text: str) -> dict[str, str]:
    """Every name of a field, to the one that its column has."""
    found = {}
    for line in help_text.splitlines():
        if re.fullmatch(r'"[^" ]+"( or "[^" ]+")*', line):
            entry = re.findall(r'"([^"]+)"', line)
            found.update(dict.fromkeys(entry, entry[0]))
    return found


def query(session: Path, table: str, fields: list[str]) -> tuple[int, str]:
    """The exit status and the output for these fields of a table."""
    known = aliases((session / "help-query-gpu.txt").read_text()) if table == "query-gpu" else {}
    header, *rows = (session / f"{table}.csv").read_text().splitlines()
    columns = names(header)
    if not rows and table == "query-gpu":
        return 6, "No devices were found\n"
    wanted = [known.get(field, field) for field in fields]
    for field, name in zip(fields, wanted, strict=True):
        if name not in columns:
            return 2, f'Field "{field}" is not a valid field to query.\n\n'
    picked = [columns.index(name) for name in wanted]
    lines = [header.split(", "), *(cells(row, columns) for row in rows)]
    return 0, "".join(", ".join(line[n] for n in picked) + "\n" for line in lines)


def main(session: Path, arguments: list[str]) -> int:
    """Does what the arguments ask for."""
    if arguments == ["--help-query-gpu"]:
        sys.stdout.write((session / "help-query-gpu.txt").read_text())
        return 0
    asked = re.fullmatch(r"--(query-gpu|query-compute-apps)=(\S+) --format=csv,nounits", " ".join(arguments))
    if asked is None:
        sys.stdout.write("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n")
        return 2
    status, text = query(session, asked[1], asked[2].split(","))
    sys.stdout.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
