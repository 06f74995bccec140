"""Parses nvidia-smi's text: the fields it lists, its tables, and the messages beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

# A line of the help that names a field, and its other names: "clocks.current.sm" or "clocks.sm"
ENTRY = re.compile(r'^"[\w.-]+"(?: or "[\w.-]+")*\s*$', re.MULTILINE | re.ASCII)
# What a row begins with, a card's index or a card's UUID: so a truncated row is no message. A card
# that is part of a system on chip has a UUID without a prefix, or none; a message may stand in brackets.
START = re.compile(
    r"(\d+|(GPU|MIG)-[^\s,]*|[0-9a-f]{8}-[^\s,]*)\s*(,|$)|(\[[^],]*\]|N/A)\s*,", re.ASCII | re.MULTILINE
)
# A last cell that can't be the beginning of a longer one.
WHOLE = re.compile(r"\[.*\]|N/A|(Not )?Active", re.ASCII)
END = re.compile(rf"\d+( MiB)?|{WHOLE.pattern}", re.ASCII)  # what a row ends with, in contrast to a message
PLACEHOLDERS = {"", "n/a", "not supported", "not found", "unknown error", "insufficient permissions", "err!"}


class Table(Struct, frozen=True):
    """What a query printed.

    columns: their names; none where no table came. rows: the cells by column. messages: the lines before and
    after, the driver's error messages among them. truncated: rows that lack cells.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    messages: tuple[str, ...]
    truncated: tuple[str, ...]


def parse_fields(text: str, wanted: Iterable[str]) -> dict[str, str]:
    """The fields of ``--help-query-gpu`` that are wanted: by the driver's name, the one it is wanted by.

    A driver lists a field once, its older names behind the one that its tables show.
    """
    driver: dict[str, str] = {}
    for entry in ENTRY.findall(text):
        names = re.findall(r'"([^"]+)"', entry)
        driver |= dict.fromkeys(names, names[0])
    fields: dict[str, str] = {}
    for name in wanted:
        if name in driver:
            fields.setdefault(driver[name], name)
    return fields


def parse_table(text: str, fields: Mapping[str, str], free: str) -> Table:
    """Reads a table printed with ``--format=csv`` for these fields, and gives its columns our names.

    Nothing in it is quoted: a comma or a newline in a cell looks like any other. Only the column ``free``
    holds free text, so what a row has too much belongs there. Every line ends with a newline: a last one
    without was cut off.
    """
    *lines, rest = text.split("\n")
    first = next(iter(fields), None)
    start = next((n for n, line in enumerate(lines) if _first(line) == first), len(lines))
    if start == len(lines):
        return Table((), (), tuple(filter(str.strip, (*lines, rest))), ())
    comma = ", " if ", " in lines[start] else ","
    names = (cell.strip().partition(" [")[0] for cell in lines[start].split(comma))
    columns = tuple(fields.get(name, name) for name in names)
    rows, messages, truncated = [], lines[:start], []
    for line in _joined(lines[start + 1 :], columns, comma, free):
        if not START.match(line.strip()):
            messages.append(line)
        elif row := _row(columns, line, comma, free):
            rows.append(row)
        else:
            truncated.append(line)
    truncated.append(rest)
    return Table(
        columns, tuple(rows), tuple(filter(str.strip, messages)), tuple(filter(str.strip, truncated))
    )


def missing_end(text: str) -> str:
    """The newline that a table lacks though nothing was cut off: a script around the tool may have taken it.

    Nothing where it isn't sure that nothing was.
    """
    last = text.rpartition(",")[2]
    return "\n" if "\n" not in last and WHOLE.fullmatch(last.strip()) else ""


def _first(line: str) -> str:
    return line.partition(",")[0].strip()


def _joined(lines: Sequence[str], columns: Sequence[str], comma: str, free: str) -> list[str]:
    """The lines, each row in one: its free text may hold newlines.

    A line that begins no row but ends one belongs to the row before it, with all that lies between. A free
    text that holds a whole row looks like two rows.
    """
    if free not in columns:
        return list(lines)
    after = len(columns) - columns.index(free)
    joined: list[str] = []
    rest: list[str] = []  # of the row whose beginning is yet to come: the last line comes first
    for line in reversed(lines):
        cells = line.split(comma)
        if START.match(line.strip()):
            joined.append("\n".join([line, *reversed(rest)]))
            rest = []
        elif rest or (len(cells) >= after and END.fullmatch(cells[-1].strip())):
            rest.append(line)
        else:
            joined.append(line)
    return [*reversed(rest), *reversed(joined)]


def _row(columns: tuple[str, ...], line: str, comma: str, free: str) -> dict[str, str] | None:
    cells = line.split(comma)
    extra = len(cells) - len(columns)
    if extra > 0 and free in columns:
        at = columns.index(free)
        cells[at : at + extra + 1] = [comma.join(cells[at : at + extra + 1])]
    row = dict(zip(columns, map(str.strip, cells), strict=False))
    broken = any("\n" in cell for name, cell in row.items() if name != free)
    return None if broken or len(cells) != len(columns) else row


def value_of(cell: str) -> str:
    """A cell's value; empty where it is a placeholder for an unknown one, such as [Not Supported]."""
    return "" if cell.lower() in PLACEHOLDERS or (cell.startswith("[") and cell.endswith("]")) else cell
