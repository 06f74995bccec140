"""The families of systemd, its units and its timers, from the properties that systemctl shows."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.metrics.families import Samples, counter, gauge
from exporter.probe import ProbeError
from exporter.probes.services import systemctl
from exporter.probes.services.summary import ACTIVE_STATES
from exporter.probes.services.systemctl import Properties

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


def add_system(samples: Samples, systems: Sequence[Properties]) -> None:
    """Adds systemd's own metrics.

    Raises:
        ProbeError: some are missing.
    """
    if len(systems) != 1:
        raise ProbeError("systemctl show reported nothing of systemd itself, or not of it alone")
    samples.add(FAILED, systemctl.count(systems[0].get("NFailedUnits")))
    samples.states(SYSTEM, systems[0].get("SystemState") or None, SYSTEM_STATES)
    if not systems[0].get("SystemState"):
        raise ProbeError("systemctl show reported no SystemState")


def state(unit: Properties) -> str:
    """The unit's state. One whose file was deleted while it runs (or after it failed) is still there."""
    gone = unit["LoadState"] == "not-found" and unit["ActiveState"] == "inactive"
    return "not-found" if gone else unit["ActiveState"]


def add_service(samples: Samples, unit: Properties, category: str | None) -> None:
    """Adds the metrics of a unit that is configured."""
    if category is None:
        return
    labels = (unit["Id"], category)
    now = state(unit)
    samples.states(STATE, now, STATES, *labels)
    if now == "not-found":
        return
    samples.add(ENABLED, UNIT_FILE_STATES.get(unit.get("UnitFileState", "")), *labels)
    samples.add(RESTARTS, systemctl.count(unit.get("NRestarts")), *labels)
    if now in ACTIVE_STATES:
        samples.add(STARTED, systemctl.timestamp(unit.get("ActiveEnterTimestamp")), *labels)
    samples.add(MEMORY, systemctl.count(unit.get("MemoryCurrent"), most=MOST_BYTES), *labels)
    nanoseconds = systemctl.count(unit.get("CPUUsageNSec"), most=MOST_NANOSECONDS)
    samples.add(CPU_SECONDS, None if nanoseconds is None else nanoseconds / 1e9, *labels)


def add_timer(samples: Samples, unit: Properties, booted_at: float) -> None:
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
