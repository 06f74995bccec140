"""Intel cards, from the files of xe and i915 in sysfs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probes.gpu import families as f
from exporter.probes.gpu.pcie import add_link, bridge
from exporter.probes.gpu.sysfs import Card, Sensors, entries, first, read, value

MICRO, MILLI, MEGA = 1e6, 1e3, 1e6
REASONS = ("pl1", "pl2", "pl4", "prochot", "ratl", "thermal", "vr_tdc", "vr_thermalert")
TILE, GT = re.compile(r"tile\d{1,2}", re.ASCII), re.compile(r"gt\d{1,2}", re.ASCII)
MOST_MHZ = 20_000  # a clock rate above is none
MOST_FANS = 8
CHIP = ("pkg", "")  # labels of temperatures; i915's has none
POWER_LIMITS = (
    "power1_cap",
    "power1_max",
    "power2_max",
)  # 0 is none; power1_crit is no limit but a trip point


class Engines(Struct, frozen=True):
    """A group of engines (a GT) and where its files lie.

    actual, highest: its clock rates, MHz. idle: its counter of idle milliseconds. throttle: what its files of
    reasons begin with. media: whether it is the one for video.
    """

    actual: str
    highest: str
    idle: str
    throttle: str
    media: bool = False


class Rates(Struct):
    """Counters of the run before, to know their rates since: by name, the value and when it was read.

    now: when this run began, seconds of a clock that never steps.
    """

    now: float = 0.0
    before: dict[str, tuple[float, float]] = field(default_factory=dict)

    def rate(self, name: str, count: float | None) -> float | None:
        """The increase a second; None at first, after a reset and where nothing is counted at all."""
        if count is None:
            self.before.pop(name, None)
            return None
        previous, self.before[name] = self.before.get(name), (count, self.now)
        if previous is None or not count or count < previous[0] or self.now <= previous[1]:
            return None
        return (count - previous[0]) / (self.now - previous[1])

    def forget(self, path: Path) -> None:
        """Forgets the counters below a directory: those of a card that sleeps stand still."""
        for name in [name for name in self.before if name.startswith(f"{path}/")]:
            del self.before[name]


def add_card(samples: Samples, labels: Sequence[str], card: Card, sensors: Sensors, rates: Rates) -> None:
    """Adds what an awake card reports; what its files lack is left out."""
    _add_engines(samples, labels, list(_engines(card)), rates)
    # Not the card's own, which says 2.5 GT/s and one lane whatever it is, since it has a switch.
    if upstream := bridge(card.device):
        add_link(samples, labels, upstream)
    hwmon = card.hwmon()
    if not hwmon:
        return
    temperatures = sensors.of(hwmon, "temp")
    samples.add(f.TEMPERATURE, first(temperatures, CHIP, MILLI), *labels)
    samples.add(f.MEMORY_TEMPERATURE, first(temperatures, ("vram",), MILLI), *labels)
    limits = (value(f"{hwmon}/{name}", MICRO) for name in POWER_LIMITS)
    samples.add(f.POWER_LIMIT, next(filter(None, limits), None), *labels)
    samples.add(f.FAN, _fans(hwmon), *labels)
    energy = _energy(sensors.of(hwmon, "energy"))
    samples.add(f.ENERGY, energy, *labels)
    samples.add(f.POWER, rates.rate(f"{card.path}/energy", energy), *labels)


def is_integrated(card: Card) -> bool:
    """Whether the card is part of a processor and uses the host's memory: its place is on the root bus."""
    return card.slot.split(":")[1:2] == ["00"]


def add_memory(samples: Samples, labels: Sequence[str], total: float | None, used: float | None) -> None:
    """Adds the memory of a card with its own, None where unknown: no file in sysfs has it."""
    samples.add(f.MEMORY_TOTAL, total or None, *labels)
    if total and used is not None:
        samples.add(f.MEMORY_USED, used, *labels)
        samples.add(f.MEMORY_FREE, max(0.0, total - used), *labels)


def _engines(card: Card) -> Iterator[Engines]:
    """Its groups of engines, under xe or i915."""
    for tile in (name for name in entries(card.device) if TILE.fullmatch(name)):
        groups = [name for name in entries(f"{card.device}/{tile}") if GT.fullmatch(name)]
        for number, gt in enumerate(groups):
            at = f"{card.device}/{tile}/{gt}"
            name = read(f"{at}/gtidle/name")
            yield Engines(
                f"{at}/freq0/act_freq", f"{at}/freq0/max_freq", f"{at}/gtidle/idle_residency_ms",
                f"{at}/freq0/throttle/reason_", name.endswith("-mc") if name else number > 0,
            )  # fmt: skip
    if card.driver != "xe":
        yield from _engines_of_i915(card)


def _engines_of_i915(card: Card) -> Iterator[Engines]:
    """The first group's files lie with the card on older kernels; a processor's second one is for video."""
    for gt in [name for name in entries(f"{card.path}/gt") if GT.fullmatch(name)] or ["gt0"]:
        at, main = f"{card.path}/gt/{gt}", gt == "gt0"
        yield Engines(
            _there(f"{at}/rps_act_freq_mhz", f"{card.path}/gt_act_freq_mhz" if main else ""),
            _there(f"{at}/rps_max_freq_mhz", f"{card.path}/gt_max_freq_mhz" if main else ""),
            _there(f"{at}/rc6_residency_ms", f"{card.path}/power/rc6_residency_ms" if main else ""),
            f"{at}/throttle_reason_", is_integrated(card) and not main,
        )  # fmt: skip


def _there(path: str, else_: str) -> str:
    return path if not else_ or os.path.exists(path) else else_  # noqa: PTH110 - faster


def _add_engines(samples: Samples, labels: Sequence[str], groups: Sequence[Engines], rates: Rates) -> None:
    """Adds load and clocks, of several groups the highest, and what holds any of them back."""
    for clock, media in (("graphics", False), ("video", True)):
        those = [group for group in groups if group.media is media]
        actual = _highest(value(group.actual, most=MOST_MHZ) for group in those)
        limit = _highest(value(group.highest, most=MOST_MHZ) for group in those)
        samples.add(f.CLOCK, None if actual is None else actual * MEGA, *labels, clock)
        samples.add(f.CLOCK_MAX, limit * MEGA if limit else None, *labels, clock)
    idle = [rates.rate(group.idle, value(group.idle, MILLI)) for group in groups if not group.media]
    busy = _highest(None if share is None else min(1.0, max(0.0, 1.0 - share)) for share in idle)
    samples.add(f.UTILIZATION, busy, *labels)
    for reason in REASONS:
        active = _highest(value(f"{group.throttle}{reason}", most=1) for group in groups)
        samples.add(f.THROTTLE, active, *labels, reason)


def _fans(hwmon: str) -> float | None:
    """The fastest fan's speed; pwm1 is 0 where the firmware controls them."""
    ratios = []
    for number in range(1, 1 + MOST_FANS):
        turns, most = value(f"{hwmon}/fan{number}_input"), value(f"{hwmon}/fan{number}_max")
        ratios.append(turns / most if turns is not None and most else None)
    return _highest(ratios)


def _energy(counters: Mapping[str, str]) -> float | None:
    """What the card used, joules; on kernels that count 0 for it, what its chip used."""
    return first(counters, ("card",), MICRO) or first(counters, ("pkg", ""), MICRO) or None


def _highest(amounts: Iterable[float | None]) -> float | None:
    return max((amount for amount in amounts if amount is not None), default=None)
