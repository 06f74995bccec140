"""systemd: the state of the units that are configured, every timer's triggers, and systemd's own state."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial

import msgspec

from exporter.metrics.families import Samples, counter, gauge
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.services import systemctl
from exporter.probes.services.summary import ACTIVE_STATES, summarize
from exporter.probes.services.systemctl import Properties
from exporter.system.subprocesses import find
from exporter.system.threads import run_in_thread_if_large

UNIT = ("name", "category")
STATE = gauge(
    "grid_service_state",
    "Whether the unit is in this state, 0 or 1 (systemctl show ActiveState; LoadState for not-found).",
    *UNIT,
    "state",
)
ENABLED = gauge(
    "grid_service_enabled",
    "Whether the unit is enabled, 0 or 1; absent for one that can't be (systemctl show UnitFileState).",
    *UNIT,
)
RESTARTS = counter(
    "grid_service_restarts_total",
    "How often systemd itself restarted the service since it was last started (systemctl show NRestarts).",
    *UNIT,
)
STARTED = gauge(
    "grid_service_started_timestamp_seconds",
    "Since when the unit is active, Unix time; absent while it isn't (systemctl show ActiveEnterTimestamp).",
    *UNIT,
)
MEMORY = gauge(
    "grid_service_memory_bytes",
    "Memory that the unit uses, file caches included (systemctl show MemoryCurrent).",
    *UNIT,
)
CPU_SECONDS = counter(
    "grid_service_cpu_seconds_total",
    "Processor time that the unit used since it was last started (systemctl show CPUUsageNSec).",
    *UNIT,
)
FAILED = gauge("grid_systemd_failed_units", "How many units have failed (systemctl show NFailedUnits).")
SYSTEM = gauge(
    "grid_systemd_state", "Whether systemd is in this state, 0 or 1 (systemctl show SystemState).", "state"
)
LAST_TRIGGER = gauge(
    "grid_systemd_timer_last_trigger_timestamp_seconds",
    "When the timer last triggered, Unix time; absent if never (systemctl show LastTriggerUSec).",
    "name",
)
NEXT_TRIGGER = gauge(
    "grid_systemd_timer_next_trigger_timestamp_seconds",
    "When the timer triggers next, Unix time; absent if that isn't set (systemctl show NextElapseUSec...).",
    "name",
)

STATES = (
    *("active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating"),
    *("maintenance", "not-found"),
)
SYSTEM_STATES = (
    *("initializing", "starting", "running", "degraded", "maintenance", "stopping", "offline"),
    "unknown",
)
# A unit file in another state (static, generated, transient, alias, indirect) can't be enabled itself.
UNIT_FILE_STATES = {
    **dict.fromkeys(("enabled", "enabled-runtime"), 1),
    **dict.fromkeys(("disabled", "linked", "linked-runtime", "masked", "masked-runtime"), 0),
}

MOST_BYTES = 2**56  # more than any host has
MOST_NANOSECONDS = 2**63  # 292 years, and a processor's use adds up over many processors
NEEDED = ("Id", "LoadState", "ActiveState")
MANAGER_PROPERTIES = ("NFailedUnits", "SystemState")
UNIT_PROPERTIES = (
    *("Id", "Names", "LoadState", "ActiveState", "UnitFileState", "NRestarts", "ActiveEnterTimestamp"),
    *("MemoryCurrent", "CPUUsageNSec"),
    *("LastTriggerUSec", "NextElapseUSecRealtime", "NextElapseUSecMonotonic"),
)
TYPE = re.compile(r"\.(service|socket|timer|path|mount|automount|swap|target|slice|scope|device)$")
NAME = re.compile(r"(?!\.\w+$)[A-Za-z0-9:_.\\@*?\[\]!-]{1,255}")
# Made by Podman for each health check and container, and by systemd-run, logins and desktops.
RANDOM = re.compile(r"[0-9a-f]{32}", re.ASCII)
NUMBERED = re.compile(r"^run-|[-.]\d+\.\w+$|[0-9a-f]{12}", re.ASCII)
PATTERN = re.compile(r"[*?\[]")

# What such a box is likely to run. Without a configuration, those of them that it has are shown.
WELL_KNOWN = {
    "ai": ["ollama", "vllm", "vllm@*.service", "llama-server", "open-webui", "comfyui"],
    "containers": ["docker", "containerd"],
    "network": ["ssh", "sshd", "tor@default", "nginx", "caddy", "tailscaled"],
    "monitoring": ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "grafana-server"],
}

Categories = Mapping[str, Sequence[str]]


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


def full_name(name: str) -> str:
    """The name with its type, as systemctl completes it; a pattern stays as it is."""
    return name if TYPE.search(name) or PATTERN.search(name) else f"{name}.service"


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
        _add_system(samples, systemctl.parse_show(manager))
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


def _add_system(samples: Samples, systems: Sequence[Properties]) -> None:
    if len(systems) != 1:
        raise ProbeError("systemctl show reported nothing of systemd itself, or not of it alone")
    samples.add(FAILED, systemctl.count(systems[0].get("NFailedUnits")))
    samples.states(SYSTEM, systems[0].get("SystemState") or None, SYSTEM_STATES)
    if not systems[0].get("SystemState"):
        raise ProbeError("systemctl show reported no SystemState")


def _add_units(
    samples: Samples, units: Iterable[Properties], categories: Categories, booted_at: float
) -> None:
    wanted = _wanted(categories)
    for unit in units:
        names = systemctl.names(unit)
        if names.isdisjoint(wanted) and _is_random(unit):
            continue
        # A pattern also finds units that others merely refer to: only a name that was asked for is not-found.
        if _state(unit) != "not-found" or not names.isdisjoint(wanted):
            _add_service(samples, unit, _category(names, categories))
            _add_timer(samples, unit, booted_at)


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
    missing = _wanted(categories).difference(*map(systemctl.names, whole))
    return errors + [
        ProbeError(f"systemctl show reported nothing of {name}", f"systemctl show -- {name}")
        for name in sorted(missing)
    ]


def _wanted(categories: Categories) -> set[str]:
    """The units that are configured by name."""
    return {name for names in categories.values() for name in names if not PATTERN.search(name)}


def _is_random(unit: Properties) -> bool:
    """Whether the unit was given a name that no other will ever have: each would be a series of its own."""
    transient = unit.get("UnitFileState") == "transient"
    return bool(RANDOM.search(unit["Id"]) or (transient and NUMBERED.search(unit["Id"])))


def _category(names: set[str], categories: Categories) -> str | None:
    """The first category of which a name or pattern matches one of the unit's names."""
    for category, patterns in categories.items():
        if any(fnmatchcase(name, pattern) for name in names for pattern in patterns):
            return category
    return None


def _state(unit: Properties) -> str:
    """The unit's state. One whose file was deleted while it runs (or after it failed) is still there."""
    gone = unit["LoadState"] == "not-found" and unit["ActiveState"] == "inactive"
    return "not-found" if gone else unit["ActiveState"]


def _add_service(samples: Samples, unit: Properties, category: str | None) -> None:
    """Adds the metrics of a unit that is configured."""
    if category is None:
        return
    labels = (unit["Id"], category)
    state = _state(unit)
    samples.states(STATE, state, STATES, *labels)
    if state == "not-found":
        return
    samples.add(ENABLED, UNIT_FILE_STATES.get(unit.get("UnitFileState", "")), *labels)
    samples.add(RESTARTS, systemctl.count(unit.get("NRestarts")), *labels)
    if state in ACTIVE_STATES:
        samples.add(STARTED, systemctl.timestamp(unit.get("ActiveEnterTimestamp")), *labels)
    samples.add(MEMORY, systemctl.count(unit.get("MemoryCurrent"), most=MOST_BYTES), *labels)
    nanoseconds = systemctl.count(unit.get("CPUUsageNSec"), most=MOST_NANOSECONDS)
    samples.add(CPU_SECONDS, None if nanoseconds is None else nanoseconds / 1e9, *labels)


def _add_timer(samples: Samples, unit: Properties, booted_at: float) -> None:
    """Adds a timer's last and next trigger. The next may be set on either clock: the sooner counts."""
    if not unit["Id"].endswith(".timer"):
        return
    samples.add(LAST_TRIGGER, systemctl.timestamp(unit.get("LastTriggerUSec")), unit["Id"])
    if unit["ActiveState"] == "active":
        uptime = systemctl.duration(unit.get("NextElapseUSecMonotonic"))
        by_uptime = None if uptime is None else round(booted_at + uptime)
        by_clock = systemctl.timestamp(unit.get("NextElapseUSecRealtime"))
        soonest = min((when for when in (by_uptime, by_clock) if when is not None), default=None)
        samples.add(NEXT_TRIGGER, soonest, unit["Id"])


async def collect(categories: Categories) -> Result:
    """Asks systemd: two processes side by side, however many units there are.

    One can't tell both: with the name of a unit ``systemctl show`` leaves systemd itself out.

    Raises:
        ProbeError: systemd can't be asked, or its output is incomplete.
    """
    names = dict.fromkeys(name for names in categories.values() for name in names)
    manager, units = await systemctl.show_both(MANAGER_PROPERTIES, UNIT_PROPERTIES, (*names, "*.timer"))
    booted_at = time.time() - time.monotonic()
    samples = await run_in_thread_if_large(len(units), parse, manager, units, categories, booted_at)
    return Result(samples.families())


def build(settings: Settings, host: Host) -> list[Probe]:  # noqa: ARG001 - every kind has this signature
    """The one probe of systemd."""
    categories = {category: [*map(full_name, names)] for category, names in settings.categories.items()}
    return [Probe("services", settings, settings, partial(collect, categories), summarize)]


async def discover(host: Host) -> Settings | Note:
    """The well-known services that the box has; a note where it runs no systemd."""
    if not (host.root / "run/systemd/system").is_dir():
        return Note("this system wasn't started by systemd")
    try:
        find("systemctl")
    except ProbeError as error:
        return Note(error.reason, error.hint)
    return Settings(categories=await _installed())


async def _installed() -> dict[str, list[str]]:
    """The well-known services that are installed; none where systemctl fails: the probe will report why."""
    names = [full_name(name) for names in WELL_KNOWN.values() for name in names]
    try:
        units = systemctl.parse_show(await systemctl.show(UNIT_PROPERTIES[:3], names))
    except ProbeError:
        return {}
    installed = {
        name for unit in units if unit.get("LoadState") == "loaded" for name in systemctl.names(unit)
    }
    kept = {
        c: [n for n in ns if PATTERN.search(n) or full_name(n) in installed] for c, ns in WELL_KNOWN.items()
    }
    return {category: names for category, names in kept.items() if names}


KIND = Kind("services", Settings, build, discover)
