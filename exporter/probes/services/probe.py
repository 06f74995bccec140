"""systemd: the state of the units that are configured, every timer's triggers, and systemd's own state."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

import msgspec

from exporter.metrics.families import Samples
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.services import families, systemctl
from exporter.probes.services.discovery import installed
from exporter.probes.services.manager import Systemd
from exporter.probes.services.summary import summarize
from exporter.probes.services.systemctl import Properties
from exporter.probes.services.units import NAME, Categories, category_of, full_name, is_random, wanted
from exporter.system.subprocesses import find
from exporter.system.threads import run_in_thread_if_large

NEEDED = ("Id", "LoadState", "ActiveState")
UNIT_PROPERTIES = (
    *("Id", "Names", "LoadState", "ActiveState", "UnitFileState", "NRestarts", "ActiveEnterTimestamp"),
    *("MemoryCurrent", "CPUUsageNSec"),
    *("LastTriggerUSec", "NextElapseUSecRealtime", "NextElapseUSecMonotonic"),
)


class Settings(Schedule, frozen=True):
    """Which units to show.

    categories: a category to the names and patterns (``vllm@*.service``) of the units in it. A unit belongs
    to the first that matches. A name without a type is a service's; a pattern finds units that are loaded.
    """

    categories: dict[str, list[str]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what can't be a unit's name: systemctl would fail at it, or take it for another."""
        super().__post_init__()
        for category, names in self.categories.items():
            for name in names:
                if not NAME.fullmatch(full_name(name)):
                    raise ValueError(f"categories.{category}: {name!r} can't be a unit's name")
                if "@." in full_name(name):
                    raise ValueError(f"categories.{category}: {name} is a template: write @*. for its units")


def parse(manager: str, units: str, categories: Categories, booted_at: float) -> Samples:
    """The metrics of systemd and its units.

    Args:
        manager: the output of ``systemctl show`` for systemd itself.
        units: its output for units; one that several names and patterns match may be there several times.
        categories: a category to the full names and patterns of its units.
        booted_at: the Unix time at which the monotonic clock would have shown 0.

    Raises:
        ProbeError: something that is always there is missing; its families hold the rest.
    """
    samples, errors = Samples(), []
    try:
        families.add_system(samples, systemctl.parse_show(manager))
    except ProbeError as error:
        errors.append(error)
    try:
        blocks = systemctl.parse_show(units)
    except ProbeError as error:
        raise ProbeError(error.reason, families=samples.families()) from error
    whole = {unit["Id"]: unit for unit in blocks if all(map(unit.get, NEEDED))}
    _add_units(samples, whole.values(), categories, booted_at)
    errors += _missing(blocks, whole.values(), categories)
    if errors:
        raise ProbeError(errors[0].reason, errors[0].hint, samples.families()) from errors[0]
    return samples


def _add_units(
    samples: Samples, units: Iterable[Properties], categories: Categories, booted_at: float
) -> None:
    named = wanted(categories)
    for unit in units:
        names = systemctl.names(unit)
        if names.isdisjoint(named) and is_random(unit):
            continue
        # A pattern also finds units that others merely refer to: only a name that was asked for is not-found.
        if families.state(unit) != "not-found" or not names.isdisjoint(named):
            families.add_service(samples, unit, category_of(names, categories))
            families.add_timer(samples, unit, booted_at)


def _missing(
    blocks: Iterable[Properties], whole: Iterable[Properties], categories: Categories
) -> list[ProbeError]:
    """An error for each unit without what every unit has, and for each name that is not there at all."""
    errors = [
        ProbeError(f"systemctl show reported no {name} of {unit.get('Id') or 'a unit'}")
        for unit in blocks
        for name in NEEDED
        if not unit.get(name)
    ]
    missing = wanted(categories).difference(*map(systemctl.names, whole))
    return errors + [
        ProbeError(f"systemctl show reported nothing of {name}", f"systemctl show -- {name}")
        for name in sorted(missing)
    ]


async def collect(systemd: Systemd, categories: Categories) -> Result:
    """Asks systemd, in one process or two, however many units there are.

    Raises:
        ProbeError: systemd can't be asked, or its output is incomplete.
    """
    names = dict.fromkeys(name for names in categories.values() for name in names)
    manager, units = await systemd.show(UNIT_PROPERTIES, (*names, "*.timer"))
    booted_at = time.time() - time.monotonic()
    samples = await run_in_thread_if_large(len(units), parse, manager, units, categories, booted_at)
    return Result(samples.families())


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe of systemd."""
    categories = {category: [*map(full_name, names)] for category, names in settings.categories.items()}
    return [
        Probe("services", settings, settings, partial(collect, Systemd(host.root), categories), summarize)
    ]


async def discover(host: Host) -> Settings | Note:
    """The well-known services that the box has; a note where it runs no systemd."""
    if not (host.root / "run/systemd/system").is_dir():
        return Note("this system wasn't started by systemd")
    try:
        find("systemctl")
    except ProbeError as error:
        return Note(error.reason, error.hint)
    return Settings(categories=await installed())


KIND = Kind("services", Settings, build, discover)
