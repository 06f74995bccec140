"""The host itself: memory, processors, load and pressure, as the kernel reports them in /proc."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from exporter.humanize import duration, percent, pluralize, size
from exporter.metrics import query
from exporter.metrics.families import Samples, counter, gauge, number
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.system import files
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
FEWEST_MODES = 4  # Linux 2.4's
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PRESSURE = re.compile(r"^(some|full) .* total=(\d{1,20})$", re.MULTILINE | re.ASCII)
STEP_BACK = 3.0  # seconds; the kernel's idle and iowait times may go back by less

# What no host exceeds: a larger value is an error of who made it (lxcfs writes these files in a container).
MOST_BYTES = 2.0**56
MOST_CPUS = 8192
MOST_TASKS = 2.0**22
MOST_SECONDS = 100 * 365.25 * 86400  # of one processor, or of pressure
LATEST_BOOT = 4102444800.0  # the year 2100
# Parts of a total, which are no larger.
PARTS = {
    **dict.fromkeys(("MemAvailable", "MemFree", "Buffers", "Cached"), "MemTotal"),
    "SwapFree": "SwapTotal",
}
RESOURCES = ("cpu", "memory", "io")
INVALID_HINT = "see the file; in a container lxcfs may write it: update lxcfs on the host"

Fields = Mapping[str, float | None]  # what a file has, by the kernel's names; None: missing or implausible


class Settings(Schedule, frozen=True):
    """When to collect; there is nothing else to set."""


class Stat(Struct, frozen=True):
    """The contents of /proc/stat; what is missing or implausible is absent.

    modes: seconds that all processors spent in each. booted_at: Unix time.
    """

    modes: Mapping[str, float | None]
    cpus: float | None
    booted_at: float | None


def plausible(value: float | None, most: float) -> float | None:
    """The value, or None for one that no host has."""
    return value if value is not None and 0 <= value <= most else None


def parse_meminfo(text: str) -> dict[str, float | None]:
    """The amounts of /proc/meminfo in bytes, by the kernel's names; None for one that is invalid."""
    amounts: dict[str, float | None] = {}
    for line in text.split("\n"):
        name, _, rest = line.partition(":")
        if name in MEMORY:
            amount, _, unit = rest.strip().partition(" ")
            kilobytes = number(amount) if unit == "kB" else None
            amounts[name] = None if kilobytes is None else plausible(kilobytes * 1024, MOST_BYTES)
    for name, whole in PARTS.items():
        total = amounts.get(whole)
        if total is not None and (amounts.get(name) or 0) > total:
            amounts[name] = None
    return amounts


def parse_stat(text: str) -> Stat:
    """The processors' times and number, and the boot time, from /proc/stat."""
    rows: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if line.startswith(("cpu", "btime ")):  # not the line of interrupts, which may be very long
            name, *rows[name] = line.split(maxsplit=len(MODES) + 1)
    cpus = sum(name[3:].isascii() and name[3:].isdigit() for name in rows if name != "btime")
    columns = rows.get("cpu", [])
    if len(columns) < FEWEST_MODES:
        columns = []
    most = TICKS_PER_SECOND * MOST_SECONDS * max(cpus, 1)
    ticks = [plausible(number(column), most) for column in columns]
    modes = {mode: None if n is None else n / TICKS_PER_SECOND for mode, n in zip(MODES, ticks, strict=False)}
    booted_at = plausible(number("".join(rows.get("btime", [])[:1])), LATEST_BOOT)
    return Stat(modes, plausible(cpus, MOST_CPUS) or None, booted_at or None)


def parse_loadavg(text: str) -> list[float | None]:
    """The load of the last 1, 5 and 15 minutes from /proc/loadavg; None for one that is invalid."""
    loads = [plausible(number(word), MOST_TASKS) for word in text.split(maxsplit=3)[:3]]
    return [*loads, None, None, None][:3]


def parse_pressure(text: str) -> dict[str, float | None]:
    """The ``some`` and ``full`` totals of a file of /proc/pressure, in seconds; it counts microseconds."""
    return {line: plausible(int(total) / 1e6, MOST_SECONDS) for line, total in PRESSURE.findall(text)}


class NonDecreasing(Struct):
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
    """A file of /proc, of at most 1 MiB.

    Raises:
        ProbeError: it is not there, can't be read, is cut off or larger.
    """
    try:
        text = files.read(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError as error:
        hint = "see that /proc is mounted; in a unit of systemd remove ProcSubset=pid, which hides it"
        raise ProbeError(f"{path} is not there", hint) from error
    except OSError as error:
        raise ProbeError(f"{path} can't be read: {error.strerror}") from error
    if not text.endswith("\n"):
        raise ProbeError(f"{path} is empty or cut off")
    return text


def collect(proc: Path, cpu_seconds: NonDecreasing) -> Result:
    """Reads everything and fills the families. Fields that are missing or implausible are noted.

    Raises:
        ProbeError: a file is missing or has no usable field; the reason names it, its families hold the rest.
    """
    samples, failures, notes = Samples(), [], []
    readers: dict[str, Callable[[Samples, str], Fields]] = {
        "meminfo": _add_memory,
        "stat": partial(_add_stat, cpu_seconds),
        "loadavg": _add_load,
        **{f"pressure/{resource}": partial(_add_pressure, resource) for resource in RESOURCES},
    }
    for name, add in readers.items():
        try:
            lacking = _lacking(proc / name, add(samples, read(proc / name)))
        except ProbeError as error:
            if not (name.startswith("pressure/") and _not_measured(error)):
                failures.append(error)
        else:
            notes += lacking
    if failures:
        first = failures[0]
        raise ProbeError(first.reason, first.hint, samples.families()) from first
    return Result(samples.families(), tuple(notes))


def _lacking(path: Path, fields: Fields) -> list[Note]:
    """A note that names the fields without a value.

    Raises:
        ProbeError: none has one.
    """
    names = [name for name, value in fields.items() if value is None]
    if len(names) == len(fields):
        raise ProbeError(f"{path} has no valid {' or '.join(names) or 'field'}", INVALID_HINT)
    return [Note(f"{path} has no valid {', '.join(names)}", INVALID_HINT)] if names else []


def _not_measured(error: ProbeError) -> bool:
    """Whether it is that the kernel measures no pressure (``psi=0``, or older than 4.20)."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.EOPNOTSUPP)


def _add_memory(samples: Samples, text: str) -> Fields:
    amounts = parse_meminfo(text)
    for name, family in MEMORY.items():
        samples.add(family, amounts.get(name))
    return {"MemTotal": None} | amounts


def _add_stat(cpu_seconds: NonDecreasing, samples: Samples, text: str) -> Fields:
    stat = parse_stat(text)
    for mode, seconds in stat.modes.items():
        samples.add(CPU_SECONDS, None if seconds is None else cpu_seconds(mode, seconds), mode)
    samples.add(CPUS, stat.cpus)
    samples.add(BOOT, stat.booted_at)
    modes = {f"cpu {mode}": seconds for mode, seconds in stat.modes.items()} or {"cpu": None}
    return {**modes, "cpu0": stat.cpus, "btime": stat.booted_at}


def _add_load(samples: Samples, text: str) -> Fields:
    loads = parse_loadavg(text)
    for family, load in zip(LOADS, loads, strict=True):
        samples.add(family, load)
    return dict(zip(("load1", "load5", "load15"), loads, strict=True))


def _add_pressure(resource: str, samples: Samples, text: str) -> Fields:
    totals = parse_pressure(text)
    samples.add(WAITING, totals.get("some"), resource)
    # The processor's "full" is undefined for a whole host; the kernel prints a 0 for the sake of old readers.
    samples.add(STALLED, totals.get("full") if resource != "cpu" else None, resource)
    return {"some": None} | totals


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
        return await run_in_thread(collect, host.proc, cpu_seconds)

    return [Probe("host", settings, settings, run, summarize)]


async def discover(host: Host) -> Settings:  # noqa: ARG001 - every kind has this signature
    """A host is always there."""
    return Settings()


KIND = Kind("host", Settings, build, discover)
