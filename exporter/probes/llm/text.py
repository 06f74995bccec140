"""The samples of a server's own metrics, from Prometheus's text format; each line is bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from exporter.metrics.families import number

Labels = dict[str, str]
Table = dict[str, list[tuple[Labels, float]]]

LINE_LIMIT = 8192
SAMPLES_LIMIT = 20_000
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*+)(\{.*+)?+", re.DOTALL)
LABEL = re.compile(r'[ ,]*+([a-zA-Z_][a-zA-Z0-9_]*+)="((?:[^"\\]++|\\.)*+)"', re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(body: bytes, wanted: frozenset[str]) -> Table:
    """The samples of these names, which begin alike up to a colon.

    What is NaN, infinite, negative or no number is not known, and left out.
    """
    table: Table = {}
    count = 0
    for raw in _lines(body, min(wanted).partition(":")[0].encode()):
        name = raw[: raw.find(b"{")] if b"{" in raw else raw.partition(b" ")[0]
        if len(raw) > LINE_LIMIT or name.decode("ascii", "replace") not in wanted:
            continue
        sample = _sample(raw.decode("utf-8", "replace").strip())
        if sample:
            count += 1
            table.setdefault(name.decode("ascii"), []).append(sample)
        if count == SAMPLES_LIMIT:
            break
    return table


def _lines(body: bytes, prefix: bytes) -> Iterator[bytes]:
    """The lines that begin so; the others, which are most of a server's, cost next to nothing."""
    at = -1 if body.startswith(prefix) else body.find(b"\n" + prefix)
    found = at >= 0 or body.startswith(prefix)
    while found:
        end = body.find(b"\n", at + 1)
        yield body[at + 1 : end if end >= 0 else None]
        at = body.find(b"\n" + prefix, end) if end >= 0 else -1
        found = at >= 0


def _sample(line: str) -> tuple[Labels, float] | None:
    brace = line.find("{")
    labels: Labels = {}
    at = brace + 1
    if brace >= 0:
        while match := LABEL.match(line, at):
            labels[match[1]] = ESCAPE.sub(lambda it: "\n" if it[1] == "n" else it[1], match[2])
            at = match.end()
        at = line.find("}", at) + 1
        if at == 0:
            return None
    else:
        at = line.find(" ")
    words = line[at:].split(maxsplit=2)
    value = number(words[0]) if words else None
    return None if value is None else (labels, value)


def combined(
    table: Table,
    name: str,
    model: str | None,
    combine: Callable[[Iterable[float]], float] = sum,
    **having: str,
) -> float | None:
    """A family's samples of a model, in one value; None where it has none.

    model: the label ``model_name``, None for any. having: labels that a sample has with that value, or lacks.
    """
    values = [
        value
        for labels, value in table.get(name, ())
        if (model is None or labels.get("model_name", "") == model)
        and all(labels.get(label, wanted) == wanted for label, wanted in having.items())
    ]
    return combine(values) if values else None


def first(table: Table, model: str, *names: str) -> float | None:
    """The sum of the first of these families that there is: a version has one, another the next."""
    sums = (combined(table, name, model) for name in names)
    return next((value for value in sums if value is not None), None)


def models(table: Table) -> list[str]:
    """The names of all models in these samples."""
    every = (labels.get("model_name", "") for samples in table.values() for labels, _ in samples)
    return list(dict.fromkeys(name for name in every if name))
