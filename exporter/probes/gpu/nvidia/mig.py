"""The memory of a divided card's parts (MIG) from ``nvidia-smi -q``, and their profiles from ``-L``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from exporter.metrics.families import Samples, number
from exporter.probes.gpu import families as f
from exporter.probes.gpu.nvidia.cards import Card

MIB = 1024 * 1024
LONGEST = 300  # characters of a line
CARD = re.compile(r"GPU ([0-9A-Fa-f]{1,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
LISTED_CARD = re.compile(r"GPU \d{1,3}: .*\(UUID: (GPU-[^ )]{1,60})\)")
LISTED_PART = re.compile(r" +MIG (?:\dc\.)?([\w.+]{1,40}) +Device +(\d{1,3}): ")
MEMORY = {"FB Memory Usage", "Shared FB Memory Usage"}


class Part(Struct):
    """A part of a card. card: the card's place on the bus. index: among the card's, as -L lists it.

    instance: the number of the GPU instance, whose memory all parts in it share.
    """

    card: str
    index: str = ""
    instance: str = ""
    total: float | None = None
    used: float | None = None


def parse_parts(text: str) -> list[Part]:
    """The parts in the output of ``nvidia-smi -q``: sections by indentation, and lines ``name : value``."""
    parts: list[Part] = []
    card, inside, section = "", False, ""
    for line in text.split("\n"):
        if heading := CARD.fullmatch(line.strip()[:LONGEST]):
            card, inside = heading[1].lower(), False
            continue
        name, colon, rest = (piece.strip() for piece in line[:LONGEST].partition(" : "))
        depth = len(line) - len(line.lstrip())
        if not colon:
            inside = name == "MIG Device" if depth <= 4 else inside  # noqa: PLR2004 - a card's own sections
            section = name
            if inside and name == "MIG Device":
                parts.append(Part(card))
        elif depth <= 4:  # noqa: PLR2004 - a line of the card's own
            inside = False
        elif inside:
            _take(parts[-1], section, name, rest)
    return parts


def _take(part: Part, section: str, name: str, text: str) -> None:
    if section in MEMORY and name in {"Total", "Used"}:
        mebibytes = number(text.removesuffix(" MiB"))
        setattr(part, name.lower(), None if mebibytes is None else mebibytes * MIB)
    elif text.isdecimal() and len(text) < 6:  # noqa: PLR2004 - a small number
        if name == "Index":
            part.index = text
        elif name == "GPU Instance ID":
            part.instance = text


def parse_profiles(text: str) -> dict[tuple[str, str], str]:
    """The profiles of ``nvidia-smi -L``, such as ``3g.40gb``, by the card's UUID and the part's index."""
    return dict(_profiles(text))


def _profiles(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    uuid = ""
    for line in text.split("\n"):
        if card := LISTED_CARD.fullmatch(line.strip()[:LONGEST]):
            uuid = card[1]
        elif part := LISTED_PART.match(line[:LONGEST]):
            yield (uuid, part[2]), part[1]


def add_parts(
    samples: Samples, parts: Iterable[Part], profiles: Mapping[tuple[str, str], str], cards: Iterable[Card]
) -> None:
    """Adds the memory of each GPU instance once, under its card's labels."""
    places = {card.cells.get("pci.bus_id", "").lower(): card for card in cards}
    seen = set()
    for part in parts:
        card = places.get(part.card)
        if card and part.instance and (card.index, part.instance) not in seen:
            seen.add((card.index, part.instance))
            labels = (card.index, card.uuid, part.instance, profiles.get((card.uuid, part.index), ""))
            samples.add(f.MIG_TOTAL, part.total, *labels)
            samples.add(f.MIG_USED, part.used, *labels)
