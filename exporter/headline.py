"""The figures that matter of each kind of probe, in a line of words, for the status page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client.core import Sample
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import Rendered

Families = Mapping[str, Rendered]


def headline(kind: str, families: Families) -> str:
    """What the figures say in short; empty where there are none, or for a kind that has no such line."""
    tell = LINES.get(kind)
    return tell(families) if tell and families else ""


def _samples(families: Families, name: str) -> list[Sample]:
    """A family's samples, read back from their text form: only the page needs them, and seldom."""
    family = families.get(name)
    if family is None:
        return []
    text = (family.header + family.samples).decode()
    return [sample for metric in text_string_to_metric_families(text) for sample in metric.samples]


def _values(families: Families, name: str, **labels: str) -> list[float]:
    """The values of a family's samples that carry these labels."""
    return [s.value for s in _samples(families, name) if labels.items() <= s.labels.items()]


def _one(families: Families, name: str, **labels: str) -> float | None:
    return next(iter(_values(families, name, **labels)), None)


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def size(count: float) -> str:
    """A number of bytes as a person says it: ``512 MB``, ``7.4 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":  # noqa: PLR2004 - the next unit's size
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.1f} {unit}"  # noqa: PLR2004


def _host(families: Families) -> str:
    total, free = (_one(families, f"grid_memory_{what}_bytes") for what in ("total", "available"))
    load, cpus = _one(families, "grid_load1"), _one(families, "grid_cpus")
    return _join(
        f"{(total - free) / total:.0%} of {size(total)} memory used" if total and free is not None else None,
        f"load {load:.2f} on {cpus:.0f} CPUs" if load is not None and cpus else None,
    )


def _gpu(families: Families) -> str:
    cards = _one(families, "grid_gpus")
    use = _values(families, "grid_gpu_utilization_ratio")
    used, total = (sum(_values(families, f"grid_gpu_memory_{what}_bytes")) for what in ("used", "total"))
    hot = max(_values(families, "grid_gpu_temperature_celsius"), default=None)
    return _join(
        _count(cards, "card"),
        f"{max(use):.0%} busy" if use else None,
        f"{size(used)} of {size(total)} memory used" if total else None,
        f"{hot:.0f} °C" if hot is not None else None,
    )


def _disk(families: Families) -> str:
    whole = _one(families, "grid_directory_size_bytes")
    entries = len(_values(families, "grid_directory_entry_size_bytes"))
    errors = _one(families, "grid_directory_scan_errors")
    return _join(
        size(whole) if whole is not None else None,
        _count(entries, "model") if entries else None,
        f"{_count(errors, 'part')} unreadable" if errors else None,
    )


def _tor(families: Families) -> str:
    up, is_tor = _one(families, "grid_tor_up"), _one(families, "grid_tor_is_tor")
    exits = [sample.labels["address"] for sample in _samples(families, "grid_tor_exit_info")]
    return _join(
        "down" if up == 0 else "up",
        "not through Tor!" if is_tor == 0 else None,
        f"exit {exits[0]}" if exits else None,
    )


def _containers(families: Families) -> str:
    if _one(families, "grid_container_engine_up") == 0:
        return "the engine is down"
    running = _values(families, "grid_container_state", state="running")
    unhealthy = sum(_values(families, "grid_container_health", health="unhealthy"))
    return _join(
        f"{sum(running):.0f} of {_count(len(running), 'container')} running",
        f"{unhealthy:.0f} unhealthy" if unhealthy else None,
        "Watchtower runs" if _one(families, "grid_watchtower_up") else "no Watchtower",
    )


def _services(families: Families) -> str:
    active = _values(families, "grid_service_state", state="active")
    failed = _one(families, "grid_systemd_failed_units")
    return _join(
        f"{sum(active):.0f} of {_count(len(active), 'service')} active" if active else None,
        f"{_count(failed, 'unit')} failed" if failed else None,
    )


def _aide(families: Families) -> str:
    if _one(families, "grid_aide_check_success") == 0:
        return "the last check failed"
    found = {s.labels["change"]: s.value for s in _samples(families, "grid_aide_entries")}
    if _one(families, "grid_aide_clean") == 1:
        return "clean"
    return _join(*(f"{count:.0f} {change}" for change, count in found.items()))


def _count(count: float | None, thing: str) -> str | None:
    return None if count is None else f"{count:.0f} {thing}{'' if count == 1 else 's'}"


LINES: Mapping[str, Callable[[Families], str]] = {
    "host": _host,
    "gpu": _gpu,
    "disk": _disk,
    "tor": _tor,
    "containers": _containers,
    "services": _services,
    "aide": _aide,
}
