"""The figures that matter of each kind of probe, in a line of words, for the status page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from prometheus_client.core import Sample
from prometheus_client.parser import text_string_to_metric_families

from exporter.humanize import duration, percent, pluralize, size
from exporter.metrics.exposition import Rendered

Families = Mapping[str, Rendered]

# Why a card may be slower than it could be; idling and its power limit are matters of course.
SLOWED = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")


def headline(kind: str, families: Families, now: float) -> str:
    """What the figures say in short at ``now`` (Unix time); empty where there are none."""
    tell = LINES.get(kind)
    return tell(families, now) if tell and families else ""


def _lines(families: Families, name: str, **labels: str) -> list[bytes]:
    """A family's sample lines that carry these labels.

    A quotation mark inside a value is escaped, so that no value can look like a label of its own.
    """
    family = families.get(name)
    marks = [f'{label}="{value}"'.encode() for label, value in labels.items()]
    lines = family.samples.splitlines() if family else []
    return [line for line in lines if all(mark in line for mark in marks)]


def _values(families: Families, name: str, **labels: str) -> list[float]:
    """Their values, which the last blank sets off. A thousand containers are read in a moment like this."""
    return [float(line.rpartition(b" ")[2]) for line in _lines(families, name, **labels)]


def _one(families: Families, name: str) -> float | None:
    return next(iter(_values(families, name)), None)


def _sum(families: Families, name: str, **labels: str) -> float:
    return sum(_values(families, name, **labels))


def _samples(families: Families, name: str) -> list[Sample]:
    """A family's samples with their labels; for families of a few samples."""
    text = b"\n".join([*_lines(families, name), b""]).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _ago(families: Families, name: str, now: float) -> str | None:
    """How long ago that was, of a family that holds a moment."""
    moment = _one(families, name)
    return None if moment is None else f"{duration(max(0.0, now - moment))} ago"


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _host(families: Families, now: float) -> str:
    total, free = (_one(families, f"grid_memory_{what}_bytes") for what in ("total", "available"))
    swap, unused = (_one(families, f"grid_swap_{what}_bytes") for what in ("total", "free"))
    load, cpus = _one(families, "grid_load1"), _one(families, "grid_cpus")
    boot = _one(families, "grid_boot_timestamp_seconds")
    return _join(
        f"memory {percent(total - free, total)} of {size(total)}" if total and free is not None else None,
        f"swap {percent(swap - unused, swap)}" if swap and unused is not None and unused < swap else None,
        f"load {load:.2f} on {pluralize(cpus, 'CPU')}" if load is not None and cpus else None,
        f"up {duration(now - boot)}" if boot is not None else None,
    )


def _gpu(families: Families, _: float) -> str:
    cards = _one(families, "grid_gpus")
    if not cards:
        return "no card" if cards == 0 else ""
    use = max(_values(families, "grid_gpu_utilization_ratio"), default=None)
    used, total = (_sum(families, f"grid_gpu_memory_{what}_bytes") for what in ("used", "total"))
    hot = max(_values(families, "grid_gpu_temperature_celsius"), default=None)
    watts = _values(families, "grid_gpu_power_draw_watts")
    slowed = {
        reason for reason in SLOWED if any(_values(families, "grid_gpu_throttle_active", reason=reason))
    }
    errors = _sum(families, "grid_gpu_ecc_errors_total", kind="uncorrected")
    several = cards > 1
    return _join(
        _models(families) or pluralize(cards, "card"),
        f"{'busiest' if several else 'busy'} {percent(use, 1)}" if use is not None else None,
        f"memory {percent(used, total)} of {size(total)}" if total else None,
        f"{'hottest ' if several else ''}{hot:.0f} °C" if hot is not None else None,
        f"{sum(watts):.0f} W" if watts else None,
        f"slowed down ({', '.join(slowed)})" if slowed else None,
        pluralize(errors, "uncorrected memory error") if errors else None,
    )


def _models(families: Families) -> str:
    """The cards by their names: ``2 NVIDIA A100``."""
    names = Counter(sample.labels.get("name", "card") for sample in _samples(families, "grid_gpu_info"))
    return " and ".join(f"{count} {name}" if count > 1 else name for name, count in names.items())


def _disk(families: Families, _: float) -> str:
    whole = _one(families, "grid_directory_size_bytes")
    models = len(_lines(families, "grid_directory_entry_size_bytes"))
    unread = _one(families, "grid_directory_scan_errors")
    return _join(
        _join(size(whole) if whole is not None else None, pluralize(models, "model") if models else None),
        f"{pluralize(unread, 'part')} unreadable" if unread else None,
        _room(families),
    )


def _room(families: Families) -> str | None:
    """What is left on the directory's own file system."""
    here = [sample.labels["mountpoint"] for sample in _samples(families, "grid_directory_info")]
    for sample in _samples(families, "grid_filesystem_avail_bytes"):
        if sample.labels["mountpoint"] in here:
            return f"{size(sample.value)} left on {sample.labels['mountpoint']}"
    return None


def _tor(families: Families, now: float) -> str:
    up, is_tor = _one(families, "grid_tor_up"), _one(families, "grid_tor_is_tor")
    if not up:
        return "down" if up == 0 else ""
    exits = [sample.labels["address"] for sample in _samples(families, "grid_tor_exit_info")]
    took = _one(families, "grid_tor_check_duration_seconds")
    changed = _ago(families, "grid_tor_exit_changed_timestamp_seconds", now)
    return _join(
        "up",
        "not through Tor!" if is_tor == 0 else None,
        f"exit {exits[0]}{f' (changed {changed})' if changed else ''}" if exits else None,
        f"a request took {duration(took)}" if took is not None else None,
    )


def _containers(families: Families, _: float) -> str:
    if _one(families, "grid_container_engine_up") == 0:
        return "the engine is down"
    running = _values(families, "grid_container_state", state="running")
    if not running:
        return "no containers"
    unhealthy = _sum(families, "grid_container_health", health="unhealthy")
    restarting = _sum(families, "grid_container_state", state="restarting")
    updated = _values(families, "grid_container_watchtower_enabled")
    covered = f"{sum(updated):.0f} updated by Watchtower" if updated else None
    return _join(
        f"{sum(running):.0f} of {pluralize(len(running), 'container')} running",
        f"{unhealthy:.0f} unhealthy" if unhealthy else None,
        f"{restarting:.0f} restarting" if restarting else None,
        covered if _one(families, "grid_watchtower_up") else "no Watchtower runs",
    )


def _services(families: Families, _: float) -> str:
    active = _values(families, "grid_service_state", state="active")
    failed = _one(families, "grid_systemd_failed_units")
    return _join(
        f"{sum(active):.0f} of {pluralize(len(active), 'service')} active" if active else None,
        None if failed is None else f"{pluralize(failed, 'unit')} failed" if failed else "no unit failed",
    )


def _aide(families: Families, now: float) -> str:
    counts = {sample.labels["change"]: sample.value for sample in _samples(families, "grid_aide_entries")}
    found = _join(*(f"{count:.0f} {change}" for change, count in counts.items() if count))
    failed = _one(families, "grid_aide_check_success") == 0
    clean = _one(families, "grid_aide_clean") == 1
    checked = _ago(families, "grid_aide_last_check_timestamp_seconds", now)
    accepted = _ago(families, "grid_aide_accept_timestamp_seconds", now)
    refused = _one(families, "grid_aide_accept_success") == 0
    return _join(
        "the last check failed" if failed else "clean" if clean else found,
        f"checked {checked}" if checked else None,
        f"{'an accept failed' if refused else 'accepted'} {accepted}" if accepted else None,
    )


def _command(families: Families, _: float) -> str:
    return pluralize(sum(len(_lines(families, name)) for name in families), "figure")


LINES: Mapping[str, Callable[[Families, float], str]] = {
    "host": _host,
    "gpu": _gpu,
    "disk": _disk,
    "tor": _tor,
    "containers": _containers,
    "services": _services,
    "aide": _aide,
    "command": _command,
}
