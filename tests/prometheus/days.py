"""Days in the life of one box, as series for promtool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# A series' value at a minute; None: it is not scraped then.
Value = float | Callable[[int], float | None]
Series = Mapping[str, Value]

MODELS = 'mountpoint="/ai", device="/dev/nvme1n1p1", fstype="ext4"'
SLOWED = "hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "sw_power_cap"
STATES = "created", "running", "restarting", "exited", "dead"


def healthy() -> dict[str, Value]:
    """A box with two cards, a model directory, two containers, Tor and AIDE, on which all is well."""
    box: dict[str, Value] = {
        "up": 1,
        "process_start_time_seconds": -4e5,
        "grid_boot_timestamp_seconds": -5e5,
        "grid_exporter_config_last_reload_successful": 1,
        'grid_gpus{vendor="nvidia"}': 2,
        "grid_memory_available_bytes": 64e9,
        "grid_memory_total_bytes": 128e9,
        "grid_swap_free_bytes": 4e9,
        "grid_swap_total_bytes": 8e9,
        'grid_pressure_stalled_seconds_total{resource="memory"}': 0,
        f"grid_filesystem_avail_bytes{{{MODELS}}}": 300e9,
        f"grid_filesystem_size_bytes{{{MODELS}}}": 1000e9,
        'grid_directory_size_bytes{path="/ai"}': 700e9,
        'grid_directory_scan_errors{path="/ai"}': 0,
        "grid_tor_up": 1,
        "grid_tor_is_tor": 1,
        "grid_container_engine_up": 1,
        "grid_watchtower_up": 1,
        'grid_service_state{name="ssh.service", category="c", state="failed"}': 0,
        'grid_service_state{name="ssh.service", category="c", state="inactive"}': 0,
        'grid_service_enabled{name="ssh.service", category="c"}': 1,
        'grid_service_restarts_total{name="ssh.service", category="c"}': 0,
        "grid_systemd_failed_units": 0,
        'grid_systemd_timer_next_trigger_timestamp_seconds{name="backup.timer"}': (
            lambda minute: (minute // 1440 + 1) * 86400
        ),
        "grid_aide_last_check_timestamp_seconds": lambda minute: minute // 1440 * 86400,
        "grid_aide_check_success": 1,
        "grid_aide_clean": 1,
        "grid_aide_database_timestamp_seconds": -9e5,
        "grid_aide_accept_timestamp_seconds": -8e5,
        "grid_aide_accept_success": 1,
        "grid_aide_packages_timestamp_seconds": -9.1e5,
    }
    for probe in ("host", "gpu", "disk:/ai", "tor", "containers", "services", "aide"):
        box |= {
            f'grid_probe_success{{probe="{probe}"}}': 1,
            f'grid_probe_stuck{{probe="{probe}"}}': 0,
            f'grid_probe_ttl_seconds{{probe="{probe}"}}': 2,
            f'grid_probe_duration_seconds{{probe="{probe}"}}': 0.2,
            f'grid_probe_last_success_timestamp_seconds{{probe="{probe}"}}': lambda minute: minute * 60,
        }
    for gpu in "01":
        card = f'gpu="{gpu}", uuid="GPU-{gpu}"'
        box |= {
            f"grid_gpu_temperature_celsius{{{card}}}": 55,
            f"grid_gpu_memory_used_bytes{{{card}}}": 10e9,
            f"grid_gpu_memory_total_bytes{{{card}}}": 24e9,
            **{f'grid_gpu_throttle_active{{{card}, reason="{reason}"}}': 0 for reason in SLOWED},
        }
    for name in ("ollama", "vllm"):
        container = f'container="{name}"'
        box |= {
            f'grid_container_info{{{container}, restart_policy="unless-stopped"}}': 1,
            f'grid_container_health{{{container}, health="unhealthy"}}': 0,
            f"grid_container_restarts_total{{{container}}}": 0,
            f"grid_container_oom_killed{{{container}}}": 0,
            f"grid_container_watchtower_enabled{{{container}}}": 1,
            **{
                f'grid_container_state{{{container}, state="{state}"}}': int(state == "running")
                for state in STATES
            },
        }
    return box


def off(box: Series, start: int, end: int) -> dict[str, Value]:
    """The same box, switched off from one minute to another."""

    def absent(value: Value) -> Value:
        return lambda minute: None if start <= minute < end else _at(value, minute)

    gone = {name: absent(value) for name, value in box.items()}
    return gone | {"up": lambda minute: 0 if start <= minute < end else _at(box["up"], minute)}


def rendered(box: Series, instance: str, minutes: Sequence[int]) -> list[dict[str, str]]:
    """The box's series as promtool reads them, with a sample at each of these minutes."""
    found = []
    for name, value in box.items():
        metric, _, labels = name.rstrip("}").partition("{")
        box_labels = ", ".join(filter(None, ('job="grid"', f'instance="{instance}"', labels)))
        values = _notation([_at(value, minute) for minute in minutes])
        found.append({"series": f"{metric}{{{box_labels}}}", "values": values})
    return found


def _at(value: Value, minute: int) -> float | None:
    return value(minute) if callable(value) else value


def _notation(values: Sequence[float | None]) -> str:
    """Runs of equal steps, and of nothing."""
    parts = []
    start = 0
    while start < len(values):
        end = start + 1
        first = values[start]
        if first is None:
            while end < len(values) and values[end] is None:
                end += 1
            parts.append("stale" if end - start == 1 else f"stale _x{end - start - 1}")
        else:
            following = values[end] if end < len(values) else None
            step = 0.0 if following is None else following - first
            while end < len(values) and values[end] == first + step * (end - start):
                end += 1
            parts.append(f"{first!r}{step:+}x{end - start - 1}" if end - start > 1 else repr(first))
        start = end
    return " ".join(parts)
