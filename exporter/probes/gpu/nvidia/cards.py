"""Each card's metrics, from a row of ``--query-gpu`` to samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exporter.metrics.families import Family, Samples, counter, gauge, number
from exporter.probes.gpu.nvidia.csv_table import value_of

CARD = ("gpu", "uuid")
GPUS = gauge("grid_gpus", "NVIDIA cards that answer (rows of nvidia-smi --query-gpu).")
INFO = gauge(
    "grid_gpu_info",
    "What the card is, always 1 (nvidia-smi name, driver_version, vbios_version, pci.bus_id).",
    *CARD, "name", "driver_version", "vbios_version", "pci_bus_id",
)  # fmt: skip
STATE = gauge(
    "grid_gpu_performance_state", "Performance state, 0 (fastest) to 15 (slowest) (nvidia-smi pstate).", *CARD
)
THROTTLE = gauge(
    "grid_gpu_throttle_active",
    "Whether this holds the clocks down now, 1 or 0 "
    "(nvidia-smi clocks_event_reasons, on older drivers clocks_throttle_reasons).",
    *CARD, "reason",
)  # fmt: skip
CLOCK = gauge("grid_gpu_clock_hertz", "Clock rate now, hertz (nvidia-smi clocks.current).", *CARD, "clock")
ECC = counter(
    "grid_gpu_ecc_errors_total",
    "Memory errors since the driver was loaded (nvidia-smi ecc.errors volatile total).",
    *CARD, "kind",
)  # fmt: skip
ECC_LIFETIME = counter(
    "grid_gpu_ecc_errors_lifetime_total",
    "Memory errors in the card's life (nvidia-smi ecc.errors aggregate total).",
    *CARD, "kind",
)  # fmt: skip

RECOVERY = gauge(
    "grid_gpu_recovery_action",
    "What the driver asks for to bring the card back, 1 for the one that holds "
    "(nvidia-smi gpu_recovery_action).",
    *CARD, "action",
)  # fmt: skip

CLOCKS = ("graphics", "sm", "memory", "video")
KINDS = ("corrected", "uncorrected")
REASONS = (
    "gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown",
    "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown", "sync_boost",
)  # fmt: skip
# A unit of nvidia-smi in base units, as multiplier and divisor: 57 times 0.01 is not 0.57.
UNITS = {"": (1, 1), "W": (1, 1), "%": (1, 100), "MiB": (1024 * 1024, 1), "MHz": (1_000_000, 1)}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the fields to take it from: the first that has a value. labels: beyond the card's."""

    family: Family
    fields: tuple[str, ...]
    unit: str = ""
    labels: tuple[str, ...] = ()


def _metric(name: str, help_: str, *fields: str, unit: str = "") -> Metric:
    family = gauge(f"grid_gpu_{name}", f"{help_} (nvidia-smi {', else '.join(fields)}).", *CARD)
    return Metric(family, fields, unit)


METRICS = (
    _metric("utilization_ratio", "Share of time in which a kernel ran, 0 to 1", "utilization.gpu", unit="%"),
    _metric(
        "memory_utilization_ratio", "Share of time in which memory was read or written, 0 to 1",
        "utilization.memory", unit="%",
    ),
    _metric("memory_total_bytes", "Memory on the card, bytes", "memory.total", unit="MiB"),
    _metric("memory_used_bytes", "Memory allocated, bytes", "memory.used", unit="MiB"),
    _metric("memory_free_bytes", "Memory free, bytes", "memory.free", unit="MiB"),
    _metric("memory_reserved_bytes", "Memory that the driver keeps, bytes", "memory.reserved", unit="MiB"),
    _metric("temperature_celsius", "Temperature of the chip, Celsius", "temperature.gpu"),
    _metric("memory_temperature_celsius", "Temperature of the memory, Celsius", "temperature.memory"),
    _metric(
        "power_draw_watts", "Power drawn, watts", "power.draw", "power.draw.average", "power.draw.instant",
        unit="W",
    ),
    _metric(
        "power_limit_watts", "Power that may be drawn, watts", "enforced.power.limit", "power.limit",
        unit="W",
    ),
    _metric("fan_speed_ratio", "Fan speed asked for; 1 is full, some exceed it", "fan.speed", unit="%"),
    _metric("pcie_link_generation", "PCIe generation", "pcie.link.gen.current", "pcie.link.gen.gpucurrent"),
    _metric("pcie_link_width", "PCIe lanes in use", "pcie.link.width.current"),
    *(Metric(CLOCK, (f"clocks.current.{name}",), "MHz", (name,)) for name in CLOCKS),
    *(Metric(ECC, (f"ecc.errors.{kind}.volatile.total",), "", (kind,)) for kind in KINDS),
    *(Metric(ECC_LIFETIME, (f"ecc.errors.{kind}.aggregate.total",), "", (kind,)) for kind in KINDS),
)  # fmt: skip

# Messages in place of values, of a card that is there.
CONDITIONS = ("GPU requires reset", "Insufficient Permissions")
UNKNOWN_ERROR = "[Unknown Error]"
RECOVERY_FIELD = "gpu_recovery_action"
RECOVERY_ACTIONS = ("none", "reset", "reboot", "drain_p2p", "drain_and_reset")

# Every field to ask for. The index comes first: a row is known by it.
NAME = "name"
FIELDS = (
    "index", "uuid", "pci.bus_id", NAME, "driver_version", "kmd_version", "vbios_version",
    "mig.mode.current", "pstate", RECOVERY_FIELD,
    *(field for metric in METRICS for field in metric.fields),
    *(f"clocks_{word}_reasons.{reason}" for reason in REASONS for word in ("event", "throttle")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
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
        driver = _first(card, "driver_version", "kmd_version")
        name, vbios = _first(card, NAME), _first(card, "vbios_version")
        samples.add(INFO, 1, *labels, name, driver, vbios, _first(card, "pci.bus_id"))
        for family, value, more in _values(card):
            samples.add(family, value, *labels, *more)
        samples.states(RECOVERY, _snake_case(card.recovery_action), RECOVERY_ACTIONS, *labels)


def _values(card: Card) -> Iterator[tuple[Family, float | None, tuple[str, ...]]]:
    """Every value that a card may report, None where it doesn't, with its labels beyond the card's."""
    for metric in METRICS:
        yield metric.family, _value(card, metric), metric.labels
    yield STATE, _state(card.cells.get("pstate", "")), ()
    for reason in REASONS:
        cell = _first(card, f"clocks_event_reasons.{reason}", f"clocks_throttle_reasons.{reason}")
        yield THROTTLE, {"Active": 1.0, "Not Active": 0.0}.get(cell), (reason,)


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
