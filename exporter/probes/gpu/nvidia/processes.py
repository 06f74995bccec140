"""Who uses the cards' memory, from ``nvidia-smi --query-compute-apps``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from exporter.metrics.families import Samples, number
from exporter.probes.gpu import families as f
from exporter.probes.gpu.nvidia.cards import Card
from exporter.probes.gpu.nvidia.csv_table import Table, value_of
from exporter.probes.gpu.programs import base_name

NAME = "process_name"
FIELDS = ("gpu_uuid", "pid", NAME, "used_gpu_memory")
MIB = 1024 * 1024


class Process(Struct, frozen=True):
    """A row: the UUID reported for the card, the process, and what it uses in bytes, NaN where unknown.

    pid: None where the driver doesn't report this card's processes.
    """

    uuid: str
    pid: int | None
    name: str
    memory: float


def parse_processes(table: Table) -> list[Process]:
    """The processes of a table."""
    processes = []
    for cells in table.rows:
        uuid, pid, name, used = (cells.get(field, "") for field in FIELDS)
        mebibytes = number(used.removesuffix(" MiB"))
        processes.append(
            Process(
                value_of(uuid),
                int(pid) if re.fullmatch(r"\d{1,10}", pid, re.ASCII) else None,
                program(name),
                math.nan if mebibytes is None else mebibytes * MIB,
            )
        )
    return processes


def program(name: str) -> str:
    """The name of a program; ``[Not Found]`` and its like stay, since the memory is used all the same."""
    base = base_name(name)
    return base if base and value_of(name) else name


def owners(uuid: str, cards: Sequence[Card]) -> list[Card]:
    """The cards that a process with this UUID may run on: one where that is known.

    With MIG a driver may report the card's UUID or the part's, which holds the card's on old drivers and is
    one of its own on newer ones: then it is any card that is divided. Cards may share a UUID, or have none.
    One that no card has is that of a card that isn't listed, or of one that doesn't report its own.
    """
    same = [card for card in cards if card.uuid == uuid or f"-{card.uuid}/" in uuid]
    if same or not uuid:
        return same or list(cards)
    if uuid.startswith("MIG-"):
        return [card for card in cards if card.divided] or list(cards)
    return [Card("", uuid, {}), *(card for card in cards if not card.uuid)]


def add_processes(
    samples: Samples,
    processes: Iterable[Process],
    cards: Sequence[Card],
    container: Callable[[int], str],
    *,
    missed: bool,
    hidden: bool = False,
    model: Callable[[int], str] = lambda _: "",
) -> None:
    """Adds how many processes each card has and what they use, by card, program, container and model.

    ``container`` returns a pid's container, ``model`` the model that it serves. A process whose card is
    unknown goes under no index and the UUID that was reported. A count or a sum that lacks a part is left
    out, not smaller (None and NaN).
    missed: whether a card may have gone unasked, so that one without a process needn't have none.
    hidden: whether the tool can't see all processes, so that no number is all of them.
    """
    pids: dict[tuple[str, str], set[int | None]] = {(card.index, card.uuid): set() for card in cards}
    memory: dict[tuple[tuple[str, str], tuple[str, str, str]], float] = {}
    for process in processes:
        candidates = [(card.index, card.uuid) for card in owners(process.uuid, cards)]
        on = candidates[0] if len(candidates) == 1 else ("", process.uuid)
        for candidate in candidates:
            pids.setdefault(candidate, set()).add(process.pid if candidate == on else None)
        pids.setdefault(on, set()).add(process.pid)
        if process.pid is not None:
            key = (on, (process.name, container(process.pid), model(process.pid)))
            memory[key] = memory.get(key, 0.0) + process.memory
    unlisted = {(card.index, card.uuid) for card in cards if missed or card.blind}
    for on, those in pids.items():
        unknown = hidden or None in those or (not those and on in unlisted)
        samples.add(f.PROCESSES, None if unknown else len(those), *on)
    for (on, about), used in memory.items():
        f.add_process_memory(samples, on, used, about)
