"""What an answer of nvidia-smi is worth: its cards, what it says beside them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from exporter.metrics.exposition import clean
from exporter.probe import Note
from exporter.probes.gpu.nvidia.cards import Card, parse_card
from exporter.probes.gpu.nvidia.csv_table import Table, parse_table
from exporter.system.subprocesses import Output

# Phrases of the tool's, in lower case: it writes both "GPU" and "gpu".
NONE_FOUND = "no devices were found"
# Said of a card that is off the bus, while the driver works and other cards answer.
LOST = ("device handle for gpu", "gpu is lost")
# Exit statuses that are nvml.h's errors of a card: it is lost or needs a reset, or its infoROM is corrupted.
ABSENT = {15, 16}
CARD_FAULTS = {14, *ABSENT}
# By phrase; where several are said in one line the first counts, so causes stand before what they lead to.
MENDS = {
    "insufficiently powered": "attach the card's power cables, and see that they sit well",
    "insufficient permissions": "let the user that the exporter runs as open /dev/nvidia*",
    "requires reset": "reset the card when nothing uses it (`nvidia-smi --gpu-reset`), or reboot",
    "inforom is corrupted": "the card works on; a power cycle may mend it, else its warranty",
    **dict.fromkeys(LOST, "see `journalctl -k | grep Xid`; a power cycle brings most cards back to the bus"),
    NONE_FOUND: "see `lspci | grep -i nvidia` and `journalctl -k | grep NVRM` for what became of the card",
    "version mismatch": "reboot: the driver was upgraded while the one before it was in use",
    "communicate with the nvidia driver": "load the driver (`modprobe nvidia`); `dmesg` says why it is not",
}
LINES = 20  # that become notes; a broken driver may never stop complaining


@dataclass(frozen=True)
class Answer:
    """A query's output, and how to read its table.

    fields: our name by the driver's of what was asked for, in order. free: the column that holds free text.
    end: what is known to be missing at the end.
    """

    output: Output
    fields: Mapping[str, str]
    free: str
    end: str = ""

    @cached_property
    def table(self) -> Table:
        """The table, empty where none came."""
        return parse_table(self.output.text + self.end, self.fields, self.free)

    @cached_property
    def words(self) -> list[str]:
        """What was said beside the table, each line once: on standard output and on standard error."""
        complaints = self.output.stderr.decode("utf-8", "surrogateescape").split("\n")
        said = (line.strip().removeprefix("nvidia-smi: ") for line in (*self.table.said, *complaints))
        return list(dict.fromkeys(clean(line) for line in said if line))

    @property
    def lost(self) -> int:
        """How many cards it says don't answer."""
        return _lost(self.words, self.output.code)

    @property
    def trouble(self) -> str:
        """Why the answer is missing or not to be trusted as a whole; nothing where all is well.

        A card that is lost or broken fails a query that lists all the others, sometimes by the exit status
        alone: that is a fact about the card, no trouble.
        """
        if self.table.torn:
            return "a line of its answer is cut off"
        if self.table.columns and (self.output.code in {0, *CARD_FAULTS} or _about(self.words, *LOST)):
            return ""
        said = reason(self.words)
        if self.output.code:
            return said if said and self.output.code > 0 else clean(self.output.error_message)
        return f"no table came, but: {said}" if said else "no table came"


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer tells of the cards.

    cards: those that answer, each once. count: how many they are, None where that can't be told.
    lost: how many are said not to. remarks: what a person should know. trouble: why this is not all; nothing
    where it is.
    """

    cards: Sequence[Card]
    count: int | None
    lost: int
    remarks: Sequence[str]
    trouble: str


def find(answer: Answer) -> Found:
    """The cards in an answer to ``--query-gpu``.

    A card off the bus is a fact that the count tells, and no trouble while others answer; without a table
    nothing tells whether others would. A box whose driver works and finds no card is a fact too.
    """
    listed = [parse_card(row) for row in answer.table.rows]
    present = [card for card in listed if not card.lost]
    remarks = [f"GPU {card.index or '?'}: {card.condition}" for card in listed if card.condition]
    remarks += answer.words
    if not listed and _about(remarks, NONE_FOUND):
        return Found([], 0, 0, remarks, "")
    unique: dict[tuple[str, str], Card] = {}
    for card in present:
        unique.setdefault((card.index, card.uuid), card)
    cards = list(unique.values())
    trouble = answer.trouble
    if not cards:
        trouble = trouble or reason(remarks) or "it lists no card"
    elif len(cards) < len(present):
        trouble = trouble or "it lists two cards with the same index and UUID"
    whole = len(cards) == len(present) and not answer.table.torn
    told = bool(cards) or (bool(answer.table.columns) and _about(remarks, *LOST))
    lost = _lost(remarks, answer.output.code)
    return Found(cards, len(cards) if whole and told else None, lost, remarks, trouble)


def notes(remarks: Iterable[str]) -> tuple[Note, ...]:
    """Remarks for a person, each once, with what to do about it where that is known."""
    said = list(dict.fromkeys(remarks))[:LINES]
    return tuple(Note(f"nvidia-smi says: {remark}", hint(remark)) for remark in said)


def reason(said: Sequence[str]) -> str:
    """The line that explains most: the first that there is something to do about, else the first."""
    return next(filter(hint, said), next(iter(said), ""))


def hint(said: str) -> str:
    """What to do about it; nothing where that isn't known."""
    return next((step for phrase, step in MENDS.items() if phrase in said.lower()), "")


def _about(said: Iterable[str], *phrases: str) -> bool:
    return any(phrase in line.lower() for line in said for phrase in phrases)


def _lost(said: Iterable[str], code: int) -> int:
    """Of how many cards it is said that they don't answer; the exit status alone may tell of one."""
    return sum(_about([line], *LOST) for line in said) or int(code in ABSENT)
