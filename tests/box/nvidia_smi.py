"""Replays a recorded session of nvidia-smi: ``nvidia_smi.py SESSION ARGUMENT...``, arguments as the tool's.

A session is a directory: help-query-gpu.txt as the tool prints it; query-gpu.csv and query-compute-apps.csv
as ``--format=csv,nounits`` prints them for every field there is.
Of a divided card it has parts.txt (-q) and list.txt (-L), too. Asked for some, it prints their columns.
A session without a card prints that, as the tool does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from os import PathLike

FREE_TEXT = {"name", "process_name"}  # nothing is quoted, and a name may hold commas
FORMAT = "--format=csv,nounits"
TABLES = ("query-gpu", "query-compute-apps")
REFUSAL = "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n"

Session = str | PathLike[str]
Row = dict[str, str]
# Makes a table's rows what they are now, in place of what was recorded.
Living = Callable[[str, list[Row]], list[Row]]


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
    names = {}
    for line in help_text.splitlines():
        entry = [
            word[1:-1] for word in line.split(" or ") if word[:1] == word[-1:] == '"' and " " not in word
        ]
        names.update(dict.fromkeys(entry, entry[0] if entry else ""))
    return names


def read(session: Session, name: str) -> str:
    """A file of the session."""
    # pathlib takes as long to import as the interpreter to start
    with open(f"{session}/{name}", encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def table(session: Session, name: str) -> tuple[str, list[Row]]:
    """A recorded table: its header, and its rows by the columns' fields."""
    header, *lines = read(session, f"{name}.csv").splitlines()
    columns = names(header)
    return header, [dict(zip(columns, cells(line, columns), strict=True)) for line in lines]


def query(session: Session, asked: str, fields: list[str], living: Living | None = None) -> tuple[int, str]:
    """The exit status and the output for these fields of a table."""
    known = aliases(read(session, "help-query-gpu.txt")) if asked == "query-gpu" else {}
    header, rows = table(session, asked)
    columns = names(header)
    if living:
        rows = living(asked, rows)
    if not rows and asked == "query-gpu":
        return 6, "No devices were found\n"
    wanted = [known.get(field, field) for field in fields]
    for field, name in zip(fields, wanted, strict=True):
        if name not in columns:
            return 2, f'Field "{field}" is not a valid field to query.\n\n'
    units = dict(zip(columns, header.split(", "), strict=True))
    printed = [[units[name] for name in wanted], *([row[name] for name in wanted] for row in rows)]
    return 0, "".join(", ".join(line) + "\n" for line in printed)


def answer(session: Session, arguments: list[str], living: Living | None = None) -> tuple[int, str]:
    """Does what the arguments ask for: the exit status and the output."""
    if arguments == ["--help-query-gpu"]:
        return 0, read(session, "help-query-gpu.txt")
    if arguments in (["-q"], ["-L"]):
        return 0, read(session, {"-q": "parts.txt", "-L": "list.txt"}[arguments[0]])
    asked, *rest = arguments or [""]
    name, _, fields = asked.removeprefix("--").partition("=")
    if name not in TABLES or not fields or rest != [FORMAT]:
        return 2, REFUSAL
    return query(session, name, fields.split(","), living)


if __name__ == "__main__":
    status, text = answer(sys.argv[1], sys.argv[2:])
    sys.stdout.write(text)
    sys.exit(status)
