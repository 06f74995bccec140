"""Each card's metrics, from a row of ``--query-gpu`` to samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from exporter.metrics.families import Family, Samples, number
from exporter.probes.gpu import families as f
from exporter.probes.gpu.nvidia.csv_table import value_of

CLOCKS = ("graphics", "sm", "memory", "video")
KINDS = ("corrected", "uncorrected")
REASONS = (
    "gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown",
    "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown", "sync_boost",
)  # fmt: skip
COUNTED_REASONS = (
    "sw_power_cap", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown", "sync_boost",
)  # fmt: skip
# A unit of nvidia-smi in base units, as multiplier and divisor: 57 times 0.01 is not 0.57.
UNITS = {
    "": (1, 1), "W": (1, 1), "%": (1, 100), "MiB": (1024 * 1024, 1), "MHz": (1_000_000, 1),
    "us": (1, 1_000_000),
}  # fmt: skip


class Metric(Struct, frozen=True):
    """A metric and the fields to take it from: the first that has a value. labels: beyond the card's."""

    family: Family
    fields: tuple[str, ...]
    unit: str = ""
    labels: tuple[str, ...] = ()


METRICS = (
    Metric(f.UTILIZATION, ("utilization.gpu",), "%"),
    Metric(f.MEMORY_UTILIZATION, ("utilization.memory",), "%"),
    Metric(f.ENCODER, ("utilization.encoder",), "%"),
    Metric(f.DECODER, ("utilization.decoder",), "%"),
    Metric(f.MEMORY_TOTAL, ("memory.total",), "MiB"),
    Metric(f.MEMORY_USED, ("memory.used",), "MiB"),
    Metric(f.MEMORY_FREE, ("memory.free",), "MiB"),
    Metric(f.MEMORY_RESERVED, ("memory.reserved",), "MiB"),
    Metric(f.TEMPERATURE, ("temperature.gpu",)),
    Metric(f.TEMPERATURE_MARGIN, ("temperature.gpu.tlimit",)),
    Metric(f.MEMORY_TEMPERATURE, ("temperature.memory",)),
    Metric(f.POWER, ("power.draw", "power.draw.average", "power.draw.instant"), "W"),
    Metric(f.POWER_LIMIT, ("enforced.power.limit", "power.limit"), "W"),
    Metric(f.POWER_DEFAULT, ("power.default_limit",), "W"),
    Metric(f.POWER_MAX, ("power.max_limit",), "W"),
    Metric(f.FAN, ("fan.speed",), "%"),
    Metric(f.PCIE_GENERATION, ("pcie.link.gen.current", "pcie.link.gen.gpucurrent")),
    Metric(f.PCIE_GENERATION_MAX, ("pcie.link.gen.max",)),
    Metric(f.PCIE_WIDTH, ("pcie.link.width.current",)),
    Metric(f.PCIE_WIDTH_MAX, ("pcie.link.width.max",)),
    *(Metric(f.CLOCK, (f"clocks.current.{name}",), "MHz", (name,)) for name in CLOCKS),
    *(Metric(f.CLOCK_MAX, (f"clocks.max.{name}",), "MHz", (name,)) for name in CLOCKS),
    *(Metric(f.ECC, (f"ecc.errors.{kind}.volatile.total",), "", (kind,)) for kind in KINDS),
    *(Metric(f.ECC_LIFETIME, (f"ecc.errors.{kind}.aggregate.total",), "", (kind,)) for kind in KINDS),
    *(
        Metric(f.THROTTLE_SECONDS, (f"clocks_event_reasons_counters.{reason}",), "us", (reason,))
        for reason in COUNTED_REASONS
    ),
    *(Metric(f.REMAPPED_ROWS, (f"remapped_rows.{kind[:-2]}able",), "", (kind,)) for kind in KINDS),
    Metric(f.RETIRED_PAGES, ("retired_pages.single_bit_ecc.count",), "", ("single_bit",)),
    Metric(f.RETIRED_PAGES, ("retired_pages.double_bit.count",), "", ("double_bit",)),
)

# Messages in place of values, of a card that is there.
CONDITIONS = ("GPU requires reset", "Insufficient Permissions")
UNKNOWN_ERROR = "[Unknown Error]"
REMAPPED_FIELD = "remapped_rows.pending"
RECOVERY_FIELD = "gpu_recovery_action"
RECOVERY_ACTIONS = ("none", "reset", "reboot", "drain_p2p", "drain_and_reset")

# Every field to ask for. The index comes first: a row is known by it.
NAME = "name"
FIELDS = (
    "index", "uuid", "pci.bus_id", NAME, "driver_version", "kmd_version", "vbios_version",
    "mig.mode.current", "pstate", RECOVERY_FIELD,
    REMAPPED_FIELD,
    *(field for metric in METRICS for field in metric.fields),
    *(f"clocks_{word}_reasons.{reason}" for reason in REASONS for word in ("event", "throttle")),
)  # fmt: skip


class Card(Struct, frozen=True):
    """A card, from a row of the table: its index and UUID (empty where unknown), and the cells by field."""

    index: str
    uuid: str
    cells: Mapping[str, str]

    @property
    def divided(self) -> bool:
        """Whether it is divided into parts that act as cards of their own (MIG)."""
        return self.cells.get("mig.mode.current") == "Enabled"

    @property
    def lost(self) -> bool:
        """Whether it is off the bus though still listed: reported as lost, or with nothing but errors."""
        if "[GPU is lost]" in self.cells.values():
            return True
        errors = any(self.cells.get(field) == UNKNOWN_ERROR for metric in METRICS for field in metric.fields)
        return errors and all(value is None for _, value, _ in _values(self))

    @property
    def conditions(self) -> list[str]:
        """What a person should know of it, in the driver's words; none where all is well."""
        if self.lost:
            return ["GPU is lost"]
        cells = self.cells.values()
        conditions = [message for message in CONDITIONS if f"[{message}]" in cells][:1]
        if broken := [field for field, cell in self.cells.items() if cell == UNKNOWN_ERROR]:
            conditions.append(f"{', '.join(broken)}: Unknown Error")
        if self.recovery_action not in {"", "None"}:
            conditions.append(f"recovery action {self.recovery_action}")
        return conditions

    @property
    def recovery_action(self) -> str:
        """What the driver says brings it back, ``None`` where nothing need be; empty where it isn't known."""
        return _first(self, RECOVERY_FIELD)

    @property
    def blind(self) -> bool:
        """Whether it reports neither load nor memory, as Jetson's: then its processes aren't listed."""
        return all(not value_of(self.cells.get(field, "?")) for field in ("utilization.gpu", "memory.used"))


def parse_card(cells: Mapping[str, str]) -> Card:
    """The card of a row."""
    return Card(value_of(cells.get("index", "")), value_of(cells.get("uuid", "")), cells)


def add_cards(samples: Samples, cards: Iterable[Card]) -> None:
    """Adds each card's metrics; what a card doesn't report is left out."""
    for card in cards:
        labels = (card.index, card.uuid)
        f.add_info(
            samples, labels, vendor="nvidia", name=_first(card, NAME), driver="nvidia",
            driver_version=_first(card, "driver_version", "kmd_version"),
            vbios_version=_first(card, "vbios_version"), pci_bus_id=_first(card, "pci.bus_id"),
        )  # fmt: skip
        for family, value, more in _values(card):
            samples.add(family, value, *labels, *more)
        samples.states(f.RECOVERY, _snake_case(card.recovery_action), RECOVERY_ACTIONS, *labels)


def _values(card: Card) -> Iterator[tuple[Family, float | None, tuple[str, ...]]]:
    """Every value that a card may report, None where it doesn't, with its labels beyond the card's."""
    for metric in METRICS:
        yield metric.family, _value(card, metric), metric.labels
    yield f.PERFORMANCE_STATE, _state(card.cells.get("pstate", "")), ()
    yield f.REMAPPED_PENDING, {"Yes": 1.0, "No": 0.0}.get(_first(card, REMAPPED_FIELD)), ()
    for reason in REASONS:
        cell = _first(card, f"clocks_event_reasons.{reason}", f"clocks_throttle_reasons.{reason}")
        yield f.THROTTLE, {"Active": 1.0, "Not Active": 0.0}.get(cell), (reason,)


def _value(card: Card, metric: Metric) -> float | None:
    """The value in base units. A script around the tool may not leave out the unit, as it is asked to."""
    value = number(_first(card, *metric.fields).removesuffix(f" {metric.unit}"))
    multiplier, divisor = UNITS[metric.unit]
    return None if value is None else value * multiplier / divisor


def _first(card: Card, *fields: str) -> str:
    return next(filter(None, (value_of(card.cells.get(field, "")) for field in fields)), "")


def _snake_case(text: str) -> str | None:
    """``Drain and Reset`` as ``drain_and_reset``; None for an empty text."""
    return "_".join(re.findall(r"[a-z0-9]+", text[:40].lower())) or None


def _state(cell: str) -> float | None:
    state = re.fullmatch(r"P(\d|1[0-5])", cell, re.ASCII)
    return float(state[1]) if state else None
