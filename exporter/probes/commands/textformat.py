"""Reads Prometheus's text format, strictly: what others print is to join the exporter's own metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.metrics.exposition import clean

Labels = tuple[tuple[str, str], ...]

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(
    r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\[\\"n][^"\\]*)*)"[ \t]*(?:,|(?=\}))'
)
LABELS_END = re.compile(r"[ \t]*\}")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE)
NO_NUMBER = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
COMMENT = re.compile(r"#[ \t]*(HELP|TYPE)(?![^ \t])[ \t]*([^ \t]*)[ \t]*(.*)", re.DOTALL)
OPENMETRICS = re.compile(r"# (?:EOF|UNIT .*)", re.DOTALL)
ESCAPE = re.compile(r"\\(.)")
RESERVED = re.compile(r"grid_.*|process_.*|scrape_.*|ALERTS.*|up")

# What may follow a family's name in its samples' names.
SUFFIXES = {
    "counter": ("",),
    "gauge": ("",),
    "untyped": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}
# The label that such a sample is nothing without.
NEEDED = {("histogram", "_bucket"): "le", ("summary", ""): "quantile"}


@dataclass(slots=True)
class Family:
    """A family as it was printed. type, help: None where none was given.

    samples: a sample's name and labels to its value.
    """

    name: str
    type: str | None = None
    help: str | None = None
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def parse(data: bytes) -> list[Family]:
    """The families that have samples, in the order in which they were first mentioned.

    Stricter than the format: no timestamps (a value's age is the exporter's to limit), no OpenMetrics, no
    name or label of the exporter's own, and a counter's name ends in ``_total``. Label values are cleaned
    like all that the exporter shows; an empty one is none, as Prometheus has it.

    Raises:
        ValueError: with the number of the line that is wrong, and what is.
    """
    families: dict[str, Family] = {}
    for number, line in enumerate(_lines(data), 1):
        try:
            _read(line.strip(" \t"), families)
        except ValueError as error:
            raise ValueError(f"line {number} of the output: {str(error)[:300]}") from error
    return [family for family in families.values() if family.samples]


def _lines(data: bytes) -> list[str]:
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} of the output: not UTF-8") from error
    if lines.pop():
        raise ValueError(f"line {len(lines) + 1} of the output: cut off, it doesn't end in a newline")
    return lines


def _read(line: str, families: dict[str, Family]) -> None:
    if line.endswith("\r"):
        raise ValueError("ends in a carriage return; a newline alone ends a line")
    if OPENMETRICS.fullmatch(line):
        raise ValueError("this is OpenMetrics; print Prometheus's text format")
    if comment := COMMENT.fullmatch(line):
        keyword, rest, text = comment.groups()
        name, _ = _name(rest)
        family = families.setdefault(name, Family(name))
        if keyword == "HELP":
            _help(family, text)
        else:
            _type(family, text, families)
    elif line and not line.startswith("#"):
        _sample(line, families)


def _help(family: Family, text: str) -> None:
    if family.help is not None:
        raise ValueError(f"a second HELP for {family.name}")
    if re.sub(r"\\[\\n]", "", text).count("\\"):
        raise ValueError("a backslash in HELP that stands before neither a backslash nor an n")
    family.help = _unescape(text)


def _type(family: Family, text: str, families: Mapping[str, Family]) -> None:
    if text not in SUFFIXES:
        raise ValueError(f"{text[:80]!r} is no type; there are {', '.join(SUFFIXES)}")
    if family.type is not None:
        raise ValueError(f"a second TYPE for {family.name}")
    if text == "counter" and not re.fullmatch(".+_total", family.name):
        raise ValueError(f"a counter's name ends in _total: {family.name}_total")
    for suffix in ("", *SUFFIXES[text]):
        if (there := families.get(family.name + suffix)) and there.samples:
            raise ValueError(f"TYPE comes after samples of {family.name}")
    family.type = text


def _sample(line: str, families: dict[str, Family]) -> None:
    name, rest = _name(line)
    labels, rest = _labels(rest)
    family = _family_of(name, families)
    needed = NEEDED.get((family.type or "", name.removeprefix(family.name)))
    if needed and not labels.get(needed):
        raise ValueError(f"{name} lacks the label {needed} of a {family.type}")
    series = name, tuple(sorted((label, value) for label, value in labels.items() if value))
    if series in family.samples:
        raise ValueError(f"this series of {name} was there before")
    family.samples[series] = _value(rest)


def _name(line: str) -> tuple[str, str]:
    """The metric's name at the line's start, and what follows it."""
    name = re.split(r"[ \t{]", line, maxsplit=1)[0]
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} can't be a metric's name")
    if RESERVED.fullmatch(name):
        raise ValueError(f"{name[:80]}: grid_*, process_*, scrape_*, ALERTS* and up are others' names")
    return name, line[len(name) :].lstrip(" \t")


def _labels(text: str) -> tuple[dict[str, str], str]:
    """The labels in braces at the text's start, and what follows them."""
    if not text.startswith("{"):
        return {}, text
    labels: dict[str, str] = {}
    at = 1
    while match := LABEL.match(text, at):
        name, value = match.groups()
        if name in labels:
            raise ValueError(f"the label {name} twice")
        if name == "command" or name.startswith("__"):
            raise ValueError(f"the label {name} is the exporter's or Prometheus's own")
        labels[name] = clean(_unescape(value))
        at = match.end()
    end = LABELS_END.match(text, at)
    if end is None:
        raise ValueError(f'labels are written {{name="value",...}}, not {text[at : at + 40]!r}')
    return labels, text[end.end() :]


def _family_of(name: str, families: dict[str, Family]) -> Family:
    """The family that a sample of this name belongs to: a histogram, a summary, or one of its own name."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = families.get(name.removesuffix(suffix))
        if base and base.name != name and suffix in SUFFIXES[base.type or "untyped"]:
            return base
    family = families.setdefault(name, Family(name))
    if "" not in SUFFIXES[family.type or "untyped"]:
        raise ValueError(f"the histogram {name} has samples {name}_bucket, {name}_sum and {name}_count only")
    return family


def _value(text: str) -> float:
    word, *more = re.split(r"[ \t]+", text.lstrip(" \t"))
    if more:
        raise ValueError("only the value may follow the name and labels; no timestamp, a scrape has its own")
    if not NO_NUMBER.fullmatch(word) and (not NUMBER.fullmatch(word) or math.isinf(float(word))):
        raise ValueError(f"{word[:80]!r} is no value")
    return float(word)


def _unescape(text: str) -> str:
    return ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
