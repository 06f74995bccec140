"""Prometheus's text format: families to bytes once a run, and the bytes of several runs into one body."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from msgspec import Struct
from prometheus_client import generate_latest
from prometheus_client.core import Metric, Sample
from prometheus_client.utils import floatToGoString

LABEL_LIMIT = 256
PIECE = 100  # samples

# What may follow a family's name in the names of its samples.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class Rendered(Struct, frozen=True):
    """One family in the text format: its type, its HELP and TYPE lines, and its samples, a line each."""

    type: str
    header: bytes
    samples: bytes


def printable(text: str) -> str:
    r"""Any text with what no terminal, page or metric should hold shown as escapes (``\xff``).

    Those are bytes that were not UTF-8 (surrogates here), control characters, and what turns the order of
    writing around.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def clean(value: str) -> str:
    r"""A label value that every reader of the format takes, from any text: a NUL would end Prometheus's scan.

    What is longer than 256 characters keeps its start and a digest of the whole, so that two long names stay
    two.
    """
    value = printable(value)
    if len(value) > LABEL_LIMIT:
        value = f"{value[: LABEL_LIMIT - 9]}…{hashlib.sha256(value.encode()).hexdigest()[:8]}"
    return value


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # surrogateescape's stand-in for a raw byte
        return f"\\x{ord(char) & 0xFF:02x}"
    return char.encode("unicode_escape").decode()


def render(families: Iterable[Metric]) -> dict[str, Rendered]:
    """Renders each family, by the name it is printed under: a counter's has ``_total``.

    A second sample of one series is dropped, it would spoil the scrape.
    """
    rendered: dict[str, Rendered] = {}
    for family in families:
        name = _printed_name(family)
        type_ = "untyped" if family.type == "unknown" else family.type
        help_ = clean(family.documentation).replace("\\", r"\\")
        lines = _lines(name, family.samples)
        samples = _by_library(name, family.samples) if lines is None else "".join(lines).encode()
        header = f"# HELP {name} {help_}\n# TYPE {name} {type_}\n".encode()
        rendered[name] = Rendered(type_, header, samples)
    return rendered


def _lines(name: str, samples: Iterable[Sample]) -> Iterable[str] | None:
    """The lines of a family's samples, each series once; None where one is not as nearly all are.

    prometheus-client's own way takes twice as long.
    """
    lines: dict[str, str] = {}
    for sample in samples:
        if sample.name != name or sample.timestamp is not None or not all(map(_is_plain, sample.labels)):
            return None
        pairs = [f'{label}="{_quoted(clean(value))}"' for label, value in sorted(sample.labels.items())]
        series = f"{name}{{{','.join(pairs)}}}" if pairs else name
        value = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
        lines.setdefault(series, f"{series} {value}\n")
    return lines.values() if _is_plain(name.replace(":", "_")) else None


def _is_plain(name: str) -> bool:
    """Whether a name needs no quotes or escapes."""
    return name.isidentifier() and name.isascii()


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"") if "\\" in value or '"' in value else value


def _by_library(name: str, samples: Iterable[Sample]) -> bytes:
    """The lines of samples of any kind: a histogram's, or with a timestamp."""
    untyped = Metric(name, "", "untyped")
    untyped.samples = [_clean(sample) for sample in samples]
    return _once([generate_latest(_registry(untyped)).split(b"\n", 2)[2]])


def _printed_name(family: Metric) -> str:
    """The name in HELP and TYPE: a counter's lacks its ``_total`` here, unless it has none at all."""
    if family.type != "counter" or any(sample.name == family.name for sample in family.samples[:1]):
        return family.name
    return f"{family.name}_total"


def _clean(sample: Sample) -> Sample:
    """The sample with clean label values. Nearly every one's are, and a new sample would cost time."""
    labels = {name: clean(value) for name, value in sample.labels.items()}
    return sample if labels == sample.labels else sample._replace(labels=labels)


def _registry(family: Metric) -> Any:
    """The one method of a registry that rendering calls."""
    return SimpleNamespace(collect=lambda: (family,))


class Renderer:
    """Renders a probe's families, run after run, in pieces that leave the event loop free in between.

    Most families change little: one that has the same samples again keeps its bytes.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[Metric, Mapping[str, Rendered]]] = {}

    async def render(self, families: Iterable[Metric]) -> Mapping[str, Rendered]:
        """Renders each family, by the name it is printed under; the families are not to be changed any more.

        A thread would hold scrapes up for as long: it gives up the interpreter only when it must.
        """
        last, self._last = self._last, {}
        parts, until_pause = [], PIECE
        for family in families:
            key = family.name, family.type
            before, rendered = last.get(key, (None, {}))
            if before != family:
                pieces = []
                for piece in _pieces(family):
                    pieces.append(render([piece]))
                    until_pause -= len(piece.samples)
                    if until_pause <= 0:
                        await asyncio.sleep(0)
                        until_pause = PIECE
                rendered = merge(pieces)
            self._last[key] = family, rendered
            parts.append(rendered)
        return merge(parts)


def _pieces(family: Metric) -> Iterator[Metric]:
    """The family, or several of it with its samples: each takes a quarter of a millisecond to render."""
    if len(family.samples) <= PIECE:
        yield family
        return
    for start in range(0, len(family.samples), PIECE):
        piece = Metric(family.name, family.documentation, family.type, family.unit)
        piece.samples = family.samples[start : start + PIECE]
        yield piece


def join(parts: Iterable[Mapping[str, Rendered]]) -> bytes:
    """One body from several runs' families."""
    return b"".join(part for family in merge(parts).values() for part in (family.header, family.samples))


def merge(parts: Iterable[Mapping[str, Rendered]]) -> dict[str, Rendered]:
    """The families of several runs, or of the pieces of one.

    A family that several parts have (a directory each) comes out under one header. The same series in two of
    them (two directories on one file system) comes out once, as the first has it. A family that clashes with
    one before it (see ``Names``) is left out: a strict reader would refuse the whole body for it.
    """
    together: dict[str, list[Rendered]] = {}
    names = Names()
    for part in parts:
        for name, family in part.items():
            if not names.add(name, family.type):
                together.setdefault(name, []).append(family)
    return {
        name: families[0] if len(families) == 1 else _one(families) for name, families in together.items()
    }


class Names:
    """The families of a body by name and type.

    Two clash where they have one name and two types, or where one's name is that of the other's samples
    (``x_count`` beside a histogram ``x``).
    """

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self._owners: dict[str, str] = {}  # of the names that the samples of histograms and summaries have

    def add(self, name: str, type_: str) -> str:
        """Adds a family; where it clashes it is not added, and the other's name and type are returned."""
        samples = [name + suffix for suffix in SUFFIXES.get(type_, ())]
        other = name if self._types.get(name, type_) != type_ else self._owners.get(name)
        for sample in samples:
            if sample in self._types:
                other = other or sample
        if other:
            return f"{other} of type {self._types[other]}"
        self._types[name] = type_
        self._owners.update(dict.fromkeys(samples, name))
        return ""


def _one(families: Sequence[Rendered]) -> Rendered:
    first = families[0]
    return Rendered(first.type, first.header, _once(each.samples for each in families))


def _once(blocks: Iterable[bytes]) -> bytes:
    """The sample lines of all blocks, each series once. The last blank of a line ends the series' name."""
    lines: dict[bytes, bytes] = {}
    for block in blocks:
        for line in block.splitlines(keepends=True):
            lines.setdefault(line.rpartition(b" ")[0], line)
    return b"".join(lines.values())
