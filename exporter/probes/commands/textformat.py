"""Reads Prometheus's text format, from programs that may print anything.

What can be served truthfully is taken; a family that can't is refused as a whole, and the others stand. Every
pattern here is linear in the text, and every line is bounded: a pattern holds the interpreter's lock, so that
no thread would keep the event loop free.
"""

from __future__ import annotations

import math
import re

from msgspec import Struct, field

from exporter.metrics.exposition import SUFFIXES, clean

Labels = tuple[tuple[str, str], ...]

LINE_LIMIT = 8192  # bytes
NAME_LIMIT = 256  # characters of a metric's or label's name
REFUSED_LINES = 100  # that are remembered
FAMILIES_LIMIT = 2000  # each takes a moment of every scrape
FRESH = 60.0  # seconds by which a sample's own timestamp may differ from now

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+(?=[ \t{]|$)")
NAME_START = re.compile(r"[a-zA-Z0-9_:]++")
LABEL = re.compile(
    r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"([^"\\]*+(?:\\[\\"n][^"\\]*+)*+)"[ \t]*+(?:,|(?=\}))'
)
LABELS_END = re.compile(r"[ \t]*+\}")
NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?", re.IGNORECASE)
INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
NAN = re.compile("nan", re.IGNORECASE)
BLANKS = re.compile(r"[ \t]++")
COMMENT = re.compile(r"#[ \t]*+(HELP|TYPE)[ \t]++([^ \t]++)[ \t]*+(.*+)", re.DOTALL)
ESCAPE = re.compile(r'\\([\\n"])')
RESERVED = re.compile(r"(?:grid_|scrape_|ALERTS).*+|up", re.DOTALL)
RESERVED_NAME = "the name is the exporter's or Prometheus's own"

# OpenMetrics' types, as the nearest of the text format; any other word is taken for untyped.
TYPES = {**{name: name for name in ("counter", "gauge", "histogram", "summary", "info")}, "stateset": "gauge"}
# There a family's samples have such a name; here they are a family of their own.
OPENMETRICS_ENDINGS = (("_total", "counter"), ("_info", "info"))
# The label that is a number, and the suffix of the samples that have it.
NUMBERED = {"histogram": ("le", "_bucket"), "summary": ("quantile", "")}


class Refused(Exception):  # noqa: N818 - of a line, not of the exporter
    """A line can't be served. Its text is the reason, which quotes no more of the line than a name."""


class Family(Struct):
    """A family as it was printed. type, help: None where none was given.

    samples: a sample's name and labels to its value. refused: why it is not served.
    """

    name: str
    type: str | None = None
    help: str | None = None
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)
    refused: str = ""

    def refuse(self, reason: str) -> None:
        """Keeps it from being served; the first reason stands."""
        self.refused = self.refused or reason


class Printed(Struct):
    """What was printed. families: those to serve, in the order printed.

    refused: the reasons, by the family's name, or by the line's number (``line 7``) where it has no name.
    """

    families: list[Family]
    refused: dict[str, str]


def parse(data: bytes, now: float) -> Printed:
    """Reads a program's whole output; nothing in it is an error.

    Label values are cleaned like all that the exporter serves; an empty one is none, as in Prometheus.

    Args:
        data: what was printed.
        now: Unix time.
    """
    reader = _Reader(now, openmetrics=data.rstrip().endswith(b"# EOF"))
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        reader.read(number, line)
    if rest and not rest.startswith(b"#"):
        reader.cut_off(len(lines) + 1, rest)
    return reader.printed()


class _Reader:
    """Reads an output line by line."""

    def __init__(self, now: float, *, openmetrics: bool) -> None:
        self._now = now
        self._tick = 1.0 if openmetrics else 0.001  # seconds: the unit of timestamps
        self._families: dict[str, Family] = {}
        self._refused: dict[str, str] = {}
        self._points: set[tuple[str, Labels, float]] = set()

    def read(self, number: int, line: bytes) -> None:
        """Reads a line. What is wrong with it refuses its family."""
        text, wrong = _decoded(line)
        family = None
        try:
            if text.startswith("#"):
                if comment := COMMENT.fullmatch(text):
                    family = self._family(_name(comment[2]))
                    self._declare(family, comment[1], comment[3])
            elif text:
                name = _name(text)
                family = self._family_of(name)
                if wrong:
                    family.refuse(f"line {number} {wrong}")
                else:
                    self._sample(family, name, text[len(name) :])
        except Refused as error:
            if family:
                family.refuse(f"line {number} {error}")
            elif len(self._refused) < REFUSED_LINES:
                self._refused[f"line {number}"] = str(error)

    def cut_off(self, number: int, line: bytes) -> None:
        """Refuses the last line, which lacks its newline, and any family that it may be a part of."""
        reason = "is cut off: it lacks a newline"
        self._refused[f"line {number}"] = reason
        text, _ = _decoded(line)
        if name := NAME_START.match(text):
            for family in self._families.values():
                for whole in _names(family.name, family.type):
                    if whole == name[0] or (name[0] == text and whole.startswith(text)):
                        family.refuse(f"line {number} {reason}")

    def printed(self) -> Printed:
        """What there is to serve, and what is refused."""
        families = [family for family in self._families.values() if family.samples or family.refused]
        for family in families:
            for name in _names(family.name, family.type):
                other = self._families.get(name)
                if other and other is not family and other.samples:
                    family.refuse(f"{other.name} is a family, too")
                    other.refuse(f"it is a sample of the {family.type} {family.name}, too")
        served = [family for family in families if not family.refused]
        for family in served[FAMILIES_LIMIT:]:
            family.refuse(f"it is one of more than {FAMILIES_LIMIT} families")
        refused = {family.name: family.refused for family in families if family.refused}
        return Printed(served[:FAMILIES_LIMIT], refused | self._refused)

    def _family(self, name: str) -> Family:
        """The family of this very name."""
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(name)
            if RESERVED.fullmatch(name):
                family.refuse(RESERVED_NAME)
        return family

    def _family_of(self, name: str) -> Family:
        """The family that a sample of this name belongs to."""
        if name not in self._families:
            for suffix in SUFFIXES["histogram"]:
                base = self._families.get(name.removesuffix(suffix))
                if base and base.name != name and name in _names(base.name, base.type):
                    if RESERVED.fullmatch(name):
                        base.refuse(RESERVED_NAME)
                    return base
        family = self._family(name)
        for ending, type_ in OPENMETRICS_ENDINGS:
            base = self._families.get(name.removesuffix(ending))
            if family.type is None and base and base.type == type_:
                family.type, family.help = type_, base.help
        return family

    def _declare(self, family: Family, keyword: str, text: str) -> None:
        """Takes a HELP or TYPE; the first HELP stands."""
        if keyword == "HELP":
            family.help = _unescape(text) if family.help is None else family.help
            return
        type_ = TYPES.get(text.lower(), "untyped")
        if family.type not in (None, type_):
            raise Refused("is a second TYPE")
        there = (self._families.get(name) for name in (family.name, *_names(family.name, type_)))
        if family.type is None and any(each and each.samples for each in there):
            raise Refused("is a TYPE after samples")
        family.type = type_

    def _sample(self, family: Family, name: str, rest: str) -> None:
        labels, rest = _labels(rest.lstrip(" \t"))
        series = name, tuple(sorted(labels.items()))
        if series in family.samples:
            raise Refused("repeats a series")
        if family.type in NUMBERED:
            self._check_point(family, name, dict(labels))
        family.samples[series] = self._value(rest)

    def _check_point(self, family: Family, name: str, labels: dict[str, str]) -> None:
        """Checks a histogram's ``le`` or a summary's ``quantile``: a number, none twice, nowhere else."""
        label, suffix = NUMBERED[family.type or ""]
        numbered = family.name + suffix
        if (name == numbered) != (label in labels) or name not in _names(family.name, family.type):
            raise Refused(f"is no sample of a {family.type}: only {numbered} has a label {label}")
        if label in labels:
            point = labels.pop(label)
            if not _is_number(point):
                raise Refused(f"has a label {label} that is no number")
            key = name, tuple(sorted(labels.items())), float(point)
            if key in self._points:
                raise Refused(f"repeats a series: its {label} was there before")
            self._points.add(key)

    def _value(self, text: str) -> float:
        """The value after a sample's labels; a timestamp must be of this minute; an exemplar is dropped."""
        words = [word for word in BLANKS.split(text.partition(" # ")[0]) if word]
        if not words or not (_is_number(words[0]) or NAN.fullmatch(words[0])):
            raise Refused("has no number for its value")
        if len(words) > 1:
            if len(words) > 2 or not _is_number(words[1]):  # noqa: PLR2004 - value and timestamp
                raise Refused("has more than a value and a timestamp")
            if abs(float(words[1]) * self._tick - self._now) > FRESH:
                raise Refused("has a timestamp of another time")
        return float(words[0])


def _decoded(line: bytes) -> tuple[str, str]:
    """The line as text without surrounding blanks, and what keeps a sample in it from being read."""
    try:
        text, wrong = line[:LINE_LIMIT].decode(), ""
    except UnicodeDecodeError:
        text, wrong = line[:LINE_LIMIT].decode("ascii", "replace"), "is not UTF-8"
    if len(line) > LINE_LIMIT:
        wrong = f"is longer than {LINE_LIMIT} bytes"
    return text.strip(" \t\r"), wrong


def _name(text: str) -> str:
    """The metric's name at the text's start."""
    match = NAME.match(text[: NAME_LIMIT + 1])
    if match is None or match.end() > NAME_LIMIT:
        raise Refused("has no metric name")
    return match[0]


def _names(family: str, type_: str | None) -> list[str]:
    """The names of a family's samples."""
    suffixes = SUFFIXES.get(type_ or "", ())
    return [family + suffix for suffix in (suffixes if type_ == "histogram" else ("", *suffixes))]


def _labels(text: str) -> tuple[dict[str, str], str]:
    """The labels in braces at the text's start, without empty ones, and what follows them."""
    if not text.startswith("{"):
        return {}, text
    labels: dict[str, str] = {}
    at = 1
    while match := LABEL.match(text, at):
        name, value = match.groups()
        if name.startswith("__"):
            raise Refused("has a label of Prometheus's own (__*)")
        if name in labels or len(name) > NAME_LIMIT:
            raise Refused("has a label twice, or one with an endless name")
        labels[name] = clean(_unescape(value))
        at = match.end()
    end = LABELS_END.match(text, at)
    if end is None:
        raise Refused('has labels that are not written {name="value",...}')
    name = "command"  # the exporter's own label: one that was printed is renamed, as Prometheus does it
    while name in labels:
        name = f"exported_{name}"
    if "command" in labels:
        labels[name] = labels.pop("command")
    return {name: value for name, value in labels.items() if value}, text[end.end() :]


def _is_number(word: str) -> bool:
    """Whether Go reads it as a number, too: infinite only where it is written so."""
    if NUMBER.fullmatch(word):
        return math.isfinite(float(word))
    return INFINITE.fullmatch(word) is not None


def _unescape(text: str) -> str:
    return ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
