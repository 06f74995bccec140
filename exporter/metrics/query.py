"""Reads values back from rendered families, for each kind of probe's one-line summary."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import Sample
from prometheus_client.parser import text_string_to_metric_families

from exporter.humanize import duration
from exporter.metrics.exposition import Rendered

Families = Mapping[str, Rendered]


def lines(families: Families, name: str, **labels: str) -> list[bytes]:
    """A family's sample lines that carry these labels.

    A quotation mark inside a value is escaped, so that no value can look like a label of its own.
    """
    family = families.get(name)
    pairs = [f'{label}="{value}"'.encode() for label, value in labels.items()]
    every = family.samples.splitlines() if family else []
    return [line for line in every if all(pair in line for pair in pairs)]


def values(families: Families, name: str, **labels: str) -> list[float]:
    """Their values, which the last blank sets off. A thousand containers are read in a moment like this."""
    return [float(line.rpartition(b" ")[2]) for line in lines(families, name, **labels)]


def value(families: Families, name: str) -> float | None:
    """The value of the family's first sample; None where it has none."""
    return next(iter(values(families, name)), None)


def total(families: Families, name: str, **labels: str) -> float:
    """The sum of their values; 0 where there are none."""
    return sum(values(families, name, **labels))


def samples(families: Families, name: str) -> list[Sample]:
    """A family's samples with their labels; for families of a few samples."""
    text = b"\n".join([*lines(families, name), b""]).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def ago(families: Families, name: str, now: float) -> str | None:
    """How long ago that was (``5 min ago``), of a family that holds a Unix time; None where it is absent."""
    moment = value(families, name)
    return None if moment is None else f"{duration(max(0.0, now - moment))} ago"


def join(*parts: str | None) -> str:
    """The parts that there are, separated by commas."""
    return ", ".join(part for part in parts if part)
