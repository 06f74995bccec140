"""Judges a response of nvidia-smi: its cards, the messages beside them, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from exporter.metrics.exposition import clean
from exporter.probe import Note
from exporter.probes.gpu.nvidia.cards import Card, parse_card
from exporter.probes.gpu.nvidia.csv_table import Table, parse_table
from exporter.system.subprocesses import Output

# Phrases of the tool, in lower case: it writes both "GPU" and "gpu".
NONE_FOUND = "no devices were found"
# Of a card that is off the bus, while the driver works and other cards answer.
LOST = ("device handle for gpu", "gpu is lost")
# Exit statuses that are nvml.h's errors of a card: it is lost or needs a reset, or its infoROM is corrupted.
ABSENT = {15, 16}
CARD_FAULTS = {14, *ABSENT}
# By phrase; where a line holds several the first counts, so causes stand before what they lead to.
HINTS = {
    "insufficiently powered": "attach the card's power cables, and see that they sit well",
    "insufficient permissions": "let the user that the exporter runs as open /dev/nvidia*",
    "requires reset": "reset the card when nothing uses it (`nvidia-smi --gpu-reset`), or reboot",
    "recovery action": "do as it says when nothing uses the card: `nvidia-smi --gpu-reset`, or reboot",
    "inforom is corrupted": "the card works on; a power cycle may fix it, else its warranty",
    **dict.fromkeys(LOST, "see `journalctl -k | grep Xid`; a power cycle brings most cards back to the bus"),
    NONE_FOUND: "see `lspci | grep -i nvidia` and `journalctl -k | grep NVRM` for what became of the card",
    "version mismatch": "reboot: the driver was upgraded while the one before it was in use",
    "communicate with the nvidia driver": "load the driver (`modprobe nvidia`); `dmesg` has the reason",
    "unknown error": "see `journalctl -k | grep -E 'NVRM|Xid'`; a broken sensor is for the warranty",
}
MAX_NOTES = 20  # a broken driver may print messages without end


class Response(Struct, frozen=True, dict=True):
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
    def messages(self) -> list[str]:
        """The lines beside the table, each once: of standard output and of standard error."""
        errors = self.output.stderr.decode("utf-8", "surrogateescape").split("\n")
        lines = (line.strip().removeprefix("nvidia-smi: ") for line in (*self.table.messages, *errors))
        return list(dict.fromkeys(clean(line) for line in lines if line))

    @property
    def lost(self) -> int:
        """How many cards it reports as lost."""
        return _lost(self.messages, self.output.code)

    @property
    def error(self) -> str:
        """Why the response is missing or not to be trusted as a whole; empty where all is well.

        A card that is lost or broken fails a query that lists all the others, sometimes by the exit status
        alone: that is a fact about the card, no error.
        """
        if self.table.truncated:
            return "a line of its output is cut off"
        if self.table.columns and (self.output.code in {0, *CARD_FAULTS} or _about(self.messages, *LOST)):
            return ""
        message = reason(self.messages)
        if self.output.code:
            return message if message and self.output.code > 0 else clean(self.output.error_message)
        return f"it printed no table, but: {message}" if message else "it printed no table"


class CardList(Struct, frozen=True):
    """The cards in a response.

    cards: those that answer, each once. count: how many they are, None where that is unknown.
    lost: how many are reported as lost. warnings: what a person should know. error: why this is not all;
    empty where it is.
    """

    cards: Sequence[Card]
    count: int | None
    lost: int
    warnings: Sequence[str]
    error: str


def list_cards(response: Response) -> CardList:
    """The cards in a response to ``--query-gpu``.

    A card off the bus is a fact that the count shows, and no error while others answer; without a table it is
    unknown whether others would. A host whose driver works and finds no card is a fact too.
    """
    listed = [parse_card(row) for row in response.table.rows]
    present = [card for card in listed if not card.lost]
    warnings = [f"GPU {card.index or '?'}: {condition}" for card in listed for condition in card.conditions]
    warnings += response.messages
    if not listed and _about(warnings, NONE_FOUND):
        return CardList([], 0, 0, warnings, "")
    unique: dict[tuple[str, str], Card] = {}
    for card in present:
        unique.setdefault((card.index, card.uuid), card)
    cards = list(unique.values())
    error = response.error
    if not cards:
        error = error or reason(warnings) or "it lists no card"
    elif len(cards) < len(present):
        error = error or "it lists two cards with the same index and UUID"
    whole = len(cards) == len(present) and not response.table.truncated
    known = bool(cards) or (bool(response.table.columns) and _about(warnings, *LOST))
    lost = _lost(warnings, response.output.code)
    return CardList(cards, len(cards) if whole and known else None, lost, warnings, error)


def notes(messages: Iterable[str]) -> tuple[Note, ...]:
    """Messages as notes for a person, each once, with a hint where there is one."""
    unique = list(dict.fromkeys(messages))[:MAX_NOTES]
    return tuple(Note(f"nvidia-smi: {message}", hint(message)) for message in unique)


def reason(messages: Sequence[str]) -> str:
    """The message that explains most: the first with a hint, else the first."""
    return next(filter(hint, messages), next(iter(messages), ""))


def hint(message: str) -> str:
    """How to fix what the message reports; empty where that isn't known."""
    return next((step for phrase, step in HINTS.items() if phrase in message.lower()), "")


def _about(messages: Iterable[str], *phrases: str) -> bool:
    return any(phrase in line.lower() for line in messages for phrase in phrases)


def _lost(messages: Iterable[str], code: int) -> int:
    """How many cards are reported as lost; the exit status alone may stand for one."""
    return sum(_about([line], *LOST) for line in messages) or int(code in ABSENT)
