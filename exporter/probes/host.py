"""The host itself: memory, processors, load and pressure, as the kernel reports them in /proc."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from exporter.humanize import duration, percent, pluralize, size
from exporter.metrics import query
from exporter.metrics.families import Samples, counter, gauge, number
from exporter.probe import Host, Kind, Probe, ProbeError, Result, Schedule
from exporter.system.threads import run_in_thread

MEMORY = {
    "MemTotal": gauge("grid_memory_total_bytes", "Memory that the kernel manages (/proc/meminfo MemTotal)."),
    "MemAvailable": gauge(
        "grid_memory_available_bytes",
        "Memory that programs could still get without swapping (/proc/meminfo MemAvailable).",
    ),
    "MemFree": gauge("grid_memory_free_bytes", "Memory that nothing uses (/proc/meminfo MemFree)."),
    "Buffers": gauge("grid_memory_buffers_bytes", "Memory that buffers disk blocks (/proc/meminfo Buffers)."),
    "Cached": gauge("grid_memory_cached_bytes", "Memory that caches files (/proc/meminfo Cached)."),
    "SwapTotal": gauge("grid_swap_total_bytes", "Swap space that is set up (/proc/meminfo SwapTotal)."),
    "SwapFree": gauge("grid_swap_free_bytes", "Swap space that nothing uses (/proc/meminfo SwapFree)."),
}
CPU_SECONDS = counter(
    "grid_cpu_seconds_total",
    "Time that all processors together spent in each mode; guests count as user and nice (/proc/stat).",
    "mode",
)
CPUS = gauge("grid_cpus", "Processors that are online (/proc/stat).")
BOOT = gauge("grid_boot_timestamp_seconds", "When the host booted, Unix time (/proc/stat btime).")
LOADS = (
    gauge("grid_load1", "Tasks that run, wait to run or wait for I/O, mean of 1 minute (/proc/loadavg)."),
    gauge("grid_load5", "Tasks that run, wait to run or wait for I/O, mean of 5 minutes (/proc/loadavg)."),
    gauge("grid_load15", "Tasks that run, wait to run or wait for I/O, mean of 15 minutes (/proc/loadavg)."),
)
WAITING = counter(
    "grid_pressure_waiting_seconds_total",
    "Time in which at least one task waited for the resource (/proc/pressure, some).",
    "resource",
)
STALLED = counter(
    "grid_pressure_stalled_seconds_total",
    "Time in which all tasks waited for the resource at once (/proc/pressure, full).",
    "resource",
)

# In /proc/stat's order. Its last two columns, guest and guest_nice, are counted in user and nice already.
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LOADAVG = re.compile(r"(\S+) (\S+) (\S+) \d+/\d+ \d+\n")
PRESSURE = re.compile(r"^(some|full) .* total=(\d{1,20})$", re.MULTILINE | re.ASCII)
STEP_BACK = 3.0  # seconds; the kernel's idle and iowait times may go back by less


class Settings(Schedule, frozen=True):
    """When to collect; there is nothing else to set."""


@dataclass(frozen=True, slots=True)
class Stat:
    """The contents of /proc/stat. modes: seconds that all processors spent in each; booted_at: Unix time."""

    modes: Mapping[str, float]
    cpus: int
    booted_at: float


def parse_meminfo(text: str) -> dict[str, float]:
    """The amounts of /proc/meminfo in bytes, by the kernel's names; those without a unit are left out.

    Raises:
        ProbeError: not even the total is there.
    """
    amounts = {}
    for name, amount in re.findall(r"^([\w()]+): +(\d{1,20}) kB$", text, re.MULTILINE | re.ASCII):
        amounts[name] = int(amount) * 1024.0
    if "MemTotal" not in amounts:
        raise ProbeError("/proc/meminfo has no MemTotal")
    return amounts


def parse_stat(text: str) -> Stat:
    """The processors' times and number, and the boot time, from /proc/stat.

    Raises:
        ProbeError: one of them is missing.
    """
    rows = {words[0]: words[1:] for words in (line.split() for line in text.splitlines()) if words}
    ticks = [number(word) for word in rows.get("cpu", [])]
    booted_at = number(next(iter(rows.get("btime", [])), ""))
    if not ticks or None in ticks or booted_at is None:
        raise ProbeError("/proc/stat has no processor time or no boot time")
    modes = {mode: (tick or 0) / TICKS_PER_SECOND for mode, tick in zip(MODES, ticks, strict=False)}
    return Stat(modes, sum(re.fullmatch(r"cpu\d+", name) is not None for name in rows), booted_at)


def parse_loadavg(text: str) -> list[float | None]:
    """The load of the last 1, 5 and 15 minutes from /proc/loadavg.

    Raises:
        ProbeError: it is in another format.
    """
    loads = LOADAVG.fullmatch(text)
    if loads is None:
        raise ProbeError("/proc/loadavg has no load averages")
    return [number(load) for load in loads.groups()]


def parse_pressure(text: str) -> dict[str, float]:
    """The ``some`` and ``full`` totals of a file of /proc/pressure, in seconds; it counts microseconds.

    Raises:
        ProbeError: it has neither.
    """
    totals = {line: int(total) / 1e6 for line, total in PRESSURE.findall(text)}
    if not totals:
        raise ProbeError("/proc/pressure has no total")
    return totals


@dataclass(slots=True)
class NonDecreasing:
    """Holds a counter that goes back a little, which Prometheus would take for a restart from 0.

    The kernel calculates idle and iowait anew each time, and sometimes arrives at less than before.
    """

    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, mode: str, seconds: float) -> float:
        """The mode's time, or the previous one where the new one is a little less."""
        if not 0 < self.last.get(mode, 0.0) - seconds < STEP_BACK:
            self.last[mode] = seconds
        return self.last[mode]


def read(path: Path) -> str:
    """A file of /proc.

    Raises:
        ProbeError: it is not there, can't be read or is cut off.
    """
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError as error:
        hint = "see that /proc is mounted; in a unit of systemd remove ProcSubset=pid, which hides it"
        raise ProbeError(f"{path} is not there", hint) from error
    except OSError as error:
        raise ProbeError(f"{path} can't be read: {error.strerror}") from error
    if not text.endswith("\n"):
        raise ProbeError(f"{path} is empty or cut off")
    return text


def pressures(proc: Path) -> dict[str, dict[str, float]]:
    """Each resource's pressure in seconds; empty where the kernel measures none (``psi=0``).

    Raises:
        ProbeError: one that is measured can't be read.
    """
    by_resource = {}
    for resource in ("cpu", "memory", "io"):
        try:
            by_resource[resource] = parse_pressure(read(proc / "pressure" / resource))
        except ProbeError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
                raise
    # The processor's "full" is undefined for a whole host; the kernel prints a 0 for the sake of old readers.
    by_resource.get("cpu", {}).pop("full", None)
    return by_resource


def collect(proc: Path, cpu_seconds: NonDecreasing) -> Samples:
    """Reads everything and fills the families.

    Raises:
        ProbeError: a file is missing or invalid; the reason names it, its families hold the rest.
    """
    samples, failures = Samples(), []
    for add in (_add_memory, partial(_add_processors, cpu_seconds), _add_load, _add_pressures):
        try:
            add(samples, proc)
        except ProbeError as error:
            failures.append(error)
    if failures:
        first = failures[0]
        raise ProbeError(first.reason, first.hint, samples.families()) from first
    return samples


def _add_memory(samples: Samples, proc: Path) -> None:
    amounts = parse_meminfo(read(proc / "meminfo"))
    for name, family in MEMORY.items():
        samples.add(family, amounts.get(name))


def _add_processors(cpu_seconds: NonDecreasing, samples: Samples, proc: Path) -> None:
    stat = parse_stat(read(proc / "stat"))
    for mode, seconds in stat.modes.items():
        samples.add(CPU_SECONDS, cpu_seconds(mode, seconds), mode)
    samples.add(CPUS, stat.cpus)
    samples.add(BOOT, stat.booted_at)


def _add_load(samples: Samples, proc: Path) -> None:
    for family, load in zip(LOADS, parse_loadavg(read(proc / "loadavg")), strict=True):
        samples.add(family, load)


def _add_pressures(samples: Samples, proc: Path) -> None:
    for resource, pressure in pressures(proc).items():
        samples.add(WAITING, pressure.get("some"), resource)
        samples.add(STALLED, pressure.get("full"), resource)


def summarize(families: query.Families, now: float) -> str:
    """The families in one line, for the status page; ``now`` is Unix time."""
    total, free = (query.value(families, f"grid_memory_{what}_bytes") for what in ("total", "available"))
    swap, unused = (query.value(families, f"grid_swap_{what}_bytes") for what in ("total", "free"))
    load, cpus = query.value(families, "grid_load1"), query.value(families, "grid_cpus")
    boot = query.value(families, "grid_boot_timestamp_seconds")
    return query.join(
        f"memory {percent(total - free, total)} of {size(total)}" if total and free is not None else None,
        f"swap {percent(swap - unused, swap)}" if swap and unused is not None and unused < swap else None,
        f"load {load:.2f} on {pluralize(cpus, 'CPU')}" if load is not None and cpus else None,
        f"up {duration(now - boot)}" if boot is not None else None,
    )


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe of the host."""
    cpu_seconds = NonDecreasing()

    async def run() -> Result:
        # In a thread: in a container /proc/meminfo may be another program's (lxcfs) and slow to answer.
        samples = await run_in_thread(collect, host.proc, cpu_seconds)
        return Result(samples.families())

    return [Probe("host", settings, settings, run, summarize)]


async def discover(host: Host) -> Settings:  # noqa: ARG001 - every kind has this signature
    """A host is always there."""
    return Settings()


KIND = Kind("host", Settings, build, discover)
