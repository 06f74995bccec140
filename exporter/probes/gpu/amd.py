"""AMD cards, from the files of amdgpu and radeon in sysfs; not from `pcie_bw`, whose read takes a second."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.metrics.families import Samples, number
from exporter.probes.gpu import families as f
from exporter.probes.gpu.pcie import add_link, bridge
from exporter.probes.gpu.sysfs import Card, Sensors, entries, first, read, value

MICRO, MILLI, PERCENT = 1e6, 1e3, 100.0
FULL = 255.0  # of pwm1, where pwm1_max isn't there
SMALL = 4 * 1024**3  # bytes of memory of its own; with less it is an APU's
CHIP = ("edge", "junction", "")  # labels of temperatures, the preferred first; an old card has one without
CLOCKS = {"graphics": ("sclk", ""), "memory": ("mclk",)}
ERRORS = {"uncorrected": "ue", "corrected": "ce"}
VENDOR = "0x1002"


def uuid(card: Card) -> str:
    """The card's own number, where it has one that tells it from others."""
    own = read(f"{card.device}/unique_id").lower()
    return own if re.fullmatch(r"[0-9a-f]{8,32}", own, re.ASCII) and own.strip("0") else ""


def add_card(
    samples: Samples, labels: Sequence[str], card: Card, sensors: Sensors, *, shares: bool
) -> float | None:
    """Adds what an awake card reports; what its files lack is left out. shares: whether it is an APU.

    Returns the bytes of its memory that are used, None where that is unknown.
    """
    device, hwmon = card.device, card.hwmon()
    samples.add(f.UTILIZATION, value(f"{device}/gpu_busy_percent", PERCENT, most=PERCENT), *labels)
    samples.add(f.MEMORY_UTILIZATION, value(f"{device}/mem_busy_percent", PERCENT, most=PERCENT), *labels)
    temperatures = sensors.of(hwmon, "temp")
    used = _add_memory(samples, labels, device, shares=shares)
    # Behind a switch on the card the slot's link is that of the switch's upstream end.
    upstream = bridge(device)
    add_link(samples, labels, upstream if read(f"{upstream}/vendor") == VENDOR else device)
    samples.add(f.TEMPERATURE, first(temperatures, CHIP, MILLI), *labels)
    samples.add(f.MEMORY_TEMPERATURE, first(temperatures, ("mem",), MILLI), *labels)
    rates = sensors.of(hwmon, "freq")
    for clock, names in CLOCKS.items():
        samples.add(f.CLOCK, first(rates, names), *labels, clock)
    if hwmon:
        _add_power(samples, labels, hwmon)
    counts = dict(line.partition(":")[::2] for line in read(f"{device}/ras/umc_err_count").splitlines())
    for kind, name in ERRORS.items():
        samples.add(f.ECC, number(counts.get(name, "").strip()), *labels, kind)
    return used


def is_apu(card: Card, sensors: Sensors) -> bool:
    """Whether the card is part of a processor and uses the host's memory.

    The kernel has `vddnb` for APUs alone. Where there are no sensors: no card but an APU has little memory,
    and no load of its memory, fan, or temperature of its memory.
    """
    hwmon = card.hwmon()
    if "vddnb" in sensors.of(hwmon, "in"):
        return True
    names = {*entries(card.device), *entries(hwmon or "-")}
    if names & {"mem_busy_percent", "pwm1", "fan1_input"} or sensors.of(hwmon, "temp").keys() & {
        "junction",
        "mem",
    }:
        return False
    total = value(f"{card.device}/mem_info_vram_total")
    return total is not None and total < SMALL


def _add_memory(samples: Samples, labels: Sequence[str], device: str, *, shares: bool) -> float | None:
    vram, used, gtt, gtt_used = (
        value(f"{device}/mem_info_{name}") for name in ("vram_total", "vram_used", "gtt_total", "gtt_used")
    )
    samples.add(f.GTT_TOTAL, gtt, *labels)
    samples.add(f.GTT_USED, gtt_used, *labels)
    if shares:
        vram, used = _sum(vram, gtt), _sum(used, gtt_used)
    samples.add(f.MEMORY_TOTAL, vram or None, *labels)
    samples.add(f.MEMORY_USED, used, *labels)
    if vram is not None and used is not None and used <= vram:
        samples.add(f.MEMORY_FREE, vram - used, *labels)
    return used


def _add_power(samples: Samples, labels: Sequence[str], hwmon: str) -> None:
    power = f"{hwmon}/power1"
    average = value(f"{power}_average", MICRO)
    samples.add(f.POWER, value(f"{power}_input", MICRO) if average is None else average, *labels)
    samples.add(f.POWER_LIMIT, value(f"{power}_cap", MICRO) or None, *labels)
    samples.add(f.POWER_DEFAULT, value(f"{power}_cap_default", MICRO) or None, *labels)
    samples.add(f.POWER_MAX, value(f"{power}_cap_max", MICRO) or None, *labels)
    samples.add(f.FAN, _fan(hwmon), *labels)


def _fan(hwmon: str) -> float | None:
    """The fan's duty cycle; where that isn't there, its speed of the highest."""
    duty, turns, most = (value(f"{hwmon}/{name}") for name in ("pwm1", "fan1_input", "fan1_max"))
    if duty is not None:
        return duty / (value(f"{hwmon}/pwm1_max") or FULL)
    return turns / most if turns is not None and most else None


def _sum(*parts: float | None) -> float | None:
    """The sum; None where a part is unknown."""
    return None if None in parts else sum(part for part in parts if part is not None)
