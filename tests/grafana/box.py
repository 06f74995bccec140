"""The last hour of two boxes with everything and of a bare one, for a real Prometheus to answer from."""

from __future__ import annotations

from collections.abc import Iterator

BOXES = ("atlas", "vega")
BARE = "quill"
STEP = 30  # seconds between scrapes
SPAN = 3600
RESTARTED = 1200  # seconds ago, the containers; before that at their own time
DOWN = (900, 840)  # seconds ago, from and until when the LLM server was down

CARDS = ("0", "1")
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
SERVICE_STATES = ("active", "reloading", "inactive", "failed", "activating", "deactivating", "not-found")
REASONS = ("gpu_idle", "sw_power_cap", "hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown")
TIMES = ("queue", "time_to_first_token", "request")
PROBES = (
    *("host", "gpu", "disk:/ai/models", "tor", "containers", "services", "aide"),
    *("llm:ollama", "command:ups"),
)
KINDS = ("host", "gpu", "disk", "tor", "containers", "services", "aide", "llm", "commands")
DOMAINS = ("gpu", "host", "disk", "tor", "containers", "services", "aide", "exporter", "llm")
DISK = 'mountpoint="/ai",device="/dev/nvme1n1",fstype="ext4"'
TIMER = 'name="sync.timer"'

Series = tuple[str, float, float]  # its name and labels, its value at the end, and its growth in a second


def openmetrics(end: int) -> str:
    """All boxes' samples as text that promtool makes into blocks."""
    lines = [line for box in BOXES for line in _samples(box, end, _series(end))]
    bare = {"up": 1, **{f'grid_probe_enabled{{probe="{kind}"}}': 0 for kind in KINDS}}
    lines += _samples(BARE, end, ((name, value, 0) for name, value in bare.items()))
    return "\n".join([*lines, "# EOF", ""])


def _samples(instance: str, end: int, series: Iterator[Series]) -> Iterator[str]:
    for name, value, growth in series:
        metric, _, labels = name.partition("{")
        inside = ",".join(filter(None, (labels.rstrip("}"), f'job="grid",instance="{instance}"')))
        # A model that was removed, and an alert that began, half an hour ago.
        last = end - SPAN // 2 if "old/model" in name else end
        for time in range(end - SPAN, last + 1, STEP):
            restarted = "container_started" in name and time >= end - RESTARTED
            then = end - RESTARTED if restarted else value - growth * (end - time)
            if metric == "grid_llm_up" and DOWN[0] >= end - time > DOWN[1]:
                then = 0
            yield f"{metric}{{{inside}}} {then} {time}"


def _series(end: int) -> Iterator[Series]:
    for name, value in _values(end).items():
        yield name, value, 0
    for name, rate in _growing().items():
        yield name, rate * SPAN, rate
    yield f"grid_filesystem_avail_bytes{{{DISK}}}", 1e12, -1e6


def _growing() -> dict[str, float]:
    """What grows, and by how much in a second."""
    return {
        **{f'grid_cpu_seconds_total{{mode="{mode}"}}': 1 for mode in ("idle", "iowait", "user", "system")},
        **{
            f'grid_pressure_waiting_seconds_total{{resource="{what}"}}': 0.1
            for what in ("cpu", "io", "memory")
        },
        'grid_pressure_stalled_seconds_total{resource="memory"}': 0.01,
        'grid_directory_entry_size_bytes{path="/ai/models",entry="org/model"}': 1e6,
        'grid_directory_size_bytes{path="/ai/models"}': 1e6,
        'grid_tor_traffic_bytes_total{direction="read"}': 1000,
        'grid_tor_traffic_bytes_total{direction="written"}': 100,
        'grid_container_restarts_total{container="web"}': 0.001,
        'grid_container_cpu_seconds_total{container="web"}': 0.5,
        'grid_service_restarts_total{name="ollama.service",category="ai"}': 0.001,
        'grid_service_cpu_seconds_total{name="ollama.service",category="ai"}': 0.5,
        "process_cpu_seconds_total": 0.01,
        **{
            f'grid_llm_{name}{{server="ollama",model="qwen3:8b"}}': 0.5
            for name in (
                *("model_loads_total", "prompt_tokens_total", "prompt_cached_tokens_total"),
                *("generated_tokens_total", "prompt_seconds_total", "generate_seconds_total"),
                *(f"{each}_seconds_{part}" for each in TIMES for part in ("sum", "count")),
            )
        },
        'grid_llm_model_unloads_total{server="ollama",model="qwen3:8b",reason="expired"}': 0.1,
        'grid_llm_requests_finished_total{server="ollama",model="qwen3:8b",outcome="ok"}': 0.1,
        'grid_gpu_energy_joules_total{gpu="0",uuid="GPU-0"}': 100,
        'grid_gpu_xid_errors_total{gpu="0",uuid="GPU-0",xid="79"}': 0.01,
        'grid_gpu_throttle_seconds_total{gpu="0",uuid="GPU-0",reason="sw_power_cap"}': 0.1,
        **{
            f'grid_probe_runs_total{{probe="{probe}",outcome="{outcome}"}}': 0.1
            for probe in PROBES
            for outcome in ("success", "failure", "timeout")
        },
    }


def _llm(end: int) -> dict[str, float]:
    server, model = 'server="ollama"', 'server="ollama",model="qwen3:8b"'
    return {
        f"grid_llm_up{{{server}}}": 1,
        f"grid_llm_ready{{{server}}}": 1,
        f'grid_llm_server_info{{{server},kind="ollama",version="0.30",container=""}}': 1,
        f'grid_llm_read_error{{{server},reason="auth"}}': 1,
        f'grid_llm_models{{{server},where="loaded"}}': 1,
        f'grid_llm_models{{{server},where="disk"}}': 3,
        f'grid_llm_model_state{{{model},state="loaded"}}': 1,
        f'grid_llm_model_memory_bytes{{{model},location="gpu"}}': 8e9,
        f'grid_llm_model_memory_bytes{{{model},location="host"}}': 1e9,
        f"grid_llm_model_disk_bytes{{{model}}}": 5e9,
        f"grid_llm_model_context_tokens{{{model}}}": 32768,
        f"grid_llm_model_expires_timestamp_seconds{{{model}}}": end + 300,
        f"grid_llm_model_pinned{{{model}}}": 0,
        f'grid_llm_requests{{{model},state="running"}}': 1,
        f'grid_llm_requests{{{model},state="waiting"}}': 2,
        f"grid_llm_kv_cache_capacity_tokens{{{model}}}": 100000,
        f"grid_llm_kv_cache_usage_ratio{{{model}}}": 0.3,
        f"grid_llm_read_seconds{{{server}}}": 0.1,
    }


def _values(end: int) -> dict[str, float]:
    """What stays."""
    return (
        _own(end)
        | _llm(end)
        | _host(end)
        | _gpu()
        | _disk()
        | _tor(end)
        | _containers(end)
        | _services(end)
        | _aide(end)
    )


def _own(end: int) -> dict[str, float]:
    firing = {f'alertname="Grid{domain}",severity="warning",domain="{domain}"' for domain in DOMAINS}
    return {
        "up": 1,
        "scrape_duration_seconds": 0.1,
        "scrape_samples_scraped": 680,
        "scrape_series_added": 2,
        'grid_exporter_build_info{version="1.0.0"}': 1,
        "grid_exporter_config_last_reload_successful": 1,
        "grid_exporter_web_config_last_reload_successful": 1,
        "grid_exporter_web_config_last_reload_success_timestamp_seconds": end - 600,
        "process_resident_memory_bytes": 5e7,
        **{f'grid_probe_enabled{{probe="{kind}"}}': float(kind != "commands") for kind in KINDS},
        **{f'grid_probe_success{{probe="{probe}"}}': 1 for probe in PROBES},
        **{f'grid_probe_stuck{{probe="{probe}"}}': 0 for probe in PROBES},
        **{f'grid_probe_duration_seconds{{probe="{probe}"}}': 0.2 for probe in PROBES},
        **{f'grid_probe_ttl_seconds{{probe="{probe}"}}': 2 for probe in PROBES},
        **{f'grid_probe_last_run_timestamp_seconds{{probe="{probe}"}}': end - 3 for probe in PROBES},
        **{f'grid_probe_last_success_timestamp_seconds{{probe="{probe}"}}': end - 3 for probe in PROBES},
        **{f'ALERTS{{{alert},alertstate="firing"}}': 1 for alert in firing},
        **{f"ALERTS_FOR_STATE{{{alert}}}": end - SPAN // 2 for alert in firing},
        **{f'grid:health:code{{domain="{domain}"}}': 9 for domain in DOMAINS},
        'grid:health:problem{domain="gpu",reason="Hot · GPU 1"}': 9,
        'ups_load_watts{command="ups"}': 320,
        "process_start_time_seconds": end - 600,
        "grid_exporter_config_last_reload_success_timestamp_seconds": end - 600,
        **{f'grid:gpu_cards:count{{vendor="{vendor}"}}': 2 for vendor in ("nvidia", "amd", "intel")},
        "grid:gpu_utilization_ratio:avg": 0.5,
        "grid:gpu_memory_used_bytes:sum": 3e10,
        "grid:gpu_memory_total_bytes:sum": 5e10,
        "grid:gpu_temperature_celsius:max": 60,
        "grid:gpu_power_draw_watts:sum": 500,
        "grid:filesystem_used_ratio:max": 0.5,
    }


def _host(end: int) -> dict[str, float]:
    return {
        "grid_memory_total_bytes": 1e11,
        "grid_memory_available_bytes": 5e10,
        "grid_memory_free_bytes": 1e10,
        "grid_memory_buffers_bytes": 1e9,
        "grid_memory_cached_bytes": 3e10,
        "grid_swap_total_bytes": 1e10,
        "grid_swap_free_bytes": 1e10,
        "grid_cpus": 16,
        "grid_load1": 3,
        "grid_load5": 2,
        "grid_load15": 1,
        "grid_boot_timestamp_seconds": end - 86400,
    }


def _gpu() -> dict[str, float]:
    values = {
        "utilization_ratio": 0.5,
        "memory_utilization_ratio": 0.4,
        "memory_used_bytes": 1e10,
        "memory_total_bytes": 2.5e10,
        "temperature_celsius": 60,
        "memory_temperature_celsius": 80,
        "power_draw_watts": 250,
        "power_limit_watts": 450,
        "fan_speed_ratio": 0.3,
        "performance_state": 2,
        "pcie_link_generation": 4,
        "pcie_link_width": 16,
        "pcie_link_generation_max": 4,
        "pcie_link_width_max": 16,
        "encoder_utilization_ratio": 0.1,
        "decoder_utilization_ratio": 0.1,
        "power_default_limit_watts": 450,
        "power_max_limit_watts": 480,
        "remapped_rows_pending": 0,
        "gtt_used_bytes": 1e9,
        "gtt_total_bytes": 1e10,
        "asleep": 0,
        "temperature_margin_celsius": 20,
    }
    samples: dict[str, float] = {
        "grid_gpus": 2,
        "grid_gpus_expected": 2,
        'grid_gpu_asleep{gpu="amd0",uuid="0000:03:00.0"}': 1,
    }
    for gpu in CARDS:
        card = f'gpu="{gpu}",uuid="GPU-{gpu}"'
        samples |= {f"grid_gpu_{name}{{{card}}}": value for name, value in values.items()}
        samples |= {f'grid_gpu_throttle_active{{{card},reason="{reason}"}}': 1 for reason in REASONS}
        samples[
            f'grid_gpu_info{{{card},name="RTX",driver_version="570",vbios_version="1",pci_bus_id="{gpu}"}}'
        ] = 1
        samples[f'grid_gpu_clock_hertz{{{card},clock="graphics"}}'] = 2e9
        samples |= {
            f'grid_gpu_clock_max_hertz{{{card},clock="graphics"}}': 2.5e9,
            f'grid_gpu_remapped_rows{{{card},kind="correctable"}}': 0,
            f'grid_gpu_retired_pages{{{card},kind="double_bit"}}': 0,
            f'grid_gpu_recovery_action{{{card},action="reset"}}': 0,
            f'grid_gpu_mig_memory_used_bytes{{{card},exported_instance="0",profile="1g.10gb"}}': 1e9,
            f'grid_gpu_mig_memory_total_bytes{{{card},exported_instance="0",profile="1g.10gb"}}': 1e10,
        }
        for kind in ("corrected", "uncorrected"):
            samples[f'grid_gpu_ecc_errors_total{{{card},kind="{kind}"}}'] = 0
            samples[f'grid_gpu_ecc_errors_lifetime_total{{{card},kind="{kind}"}}'] = 0
        samples[f'grid_gpu_process_memory_bytes{{{card},process="python3",container="web",model="m"}}'] = 5e9
        samples[f'grid_gpu_process_memory_bytes{{{card},process="Xorg",container=""}}'] = 1e8
    return samples


def _disk() -> dict[str, float]:
    return {
        'grid_directory_entry_size_bytes{path="/ai/models",entry="old/model"}': 1e10,
        'grid_directory_entry_size_bytes{path="/ai/models",entry="(other)"}': 1e9,
        'grid_directory_scan_errors{path="/ai/models"}': 0,
        'grid_directory_info{path="/ai/models",mountpoint="/ai"}': 1,
        f"grid_filesystem_size_bytes{{{DISK}}}": 4e12,
    }


def _tor(end: int) -> dict[str, float]:
    return {
        "grid_tor_up": 1,
        "grid_tor_is_tor": 1,
        'grid_tor_exit_info{address="185.220.101.1"}': 1,
        "grid_tor_exit_changed_timestamp_seconds": end - 600,
        "grid_tor_check_duration_seconds": 1.3,
        "grid_tor_bootstrap_ratio": 1,
        "grid_tor_circuit_established": 1,
        'grid_tor_info{version="0.4.8"}': 1,
    }


def _containers(end: int) -> dict[str, float]:
    samples: dict[str, float] = {"grid_container_engine_up": 1, "grid_watchtower_up": 1}
    for name, state in (("web", "running"), ("job", "exited")):
        one = f'container="{name}"'
        about = 'id="abc",image="nginx:1",restart_policy="always",compose_project="web",compose_service="web"'
        samples |= {f'grid_container_state{{{one},state="{each}"}}': float(each == state) for each in STATES}
        samples |= {
            f"grid_container_info{{{one},{about}}}": 1,
            f"grid_container_watchtower_enabled{{{one}}}": 1,
            f"grid_container_watchtower_monitor_only{{{one}}}": 0,
            f"grid_container_started_timestamp_seconds{{{one}}}": end - 3000,
            f"grid_container_created_timestamp_seconds{{{one}}}": end - 9000,
            f"grid_container_oom_killed{{{one}}}": 0,
        }
    return samples | {
        'grid_container_health{container="web",health="starting"}': 0,
        'grid_container_health{container="web",health="unhealthy"}': 0,
        'grid_container_exit_code{container="job"}': 137,
        'grid_container_memory_bytes{container="web"}': 1e9,
        'grid_container_memory_limit_bytes{container="web"}': 4e9,
    }


def _services(end: int) -> dict[str, float]:
    unit = 'name="ollama.service",category="ai"'
    return {
        **{
            f'grid_service_state{{{unit},state="{state}"}}': float(state == "active")
            for state in SERVICE_STATES
        },
        f"grid_service_enabled{{{unit}}}": 1,
        f"grid_service_started_timestamp_seconds{{{unit}}}": end - 900,
        f"grid_service_memory_bytes{{{unit}}}": 1e9,
        "grid_systemd_failed_units": 0,
        'grid_systemd_state{state="running"}': 1,
        f"grid_systemd_timer_last_trigger_timestamp_seconds{{{TIMER}}}": end - 9000,
        f"grid_systemd_timer_next_trigger_timestamp_seconds{{{TIMER}}}": end - 2000,
    }


def _aide(end: int) -> dict[str, float]:
    return {
        "grid_aide_last_check_timestamp_seconds": end - 3600,
        "grid_aide_check_duration_seconds": 100,
        "grid_aide_check_success": 1,
        "grid_aide_clean": 1,
        **{f'grid_aide_entries{{change="{change}"}}': 0 for change in ("added", "removed", "changed")},
        "grid_aide_accept_timestamp_seconds": end - 7200,
        "grid_aide_accept_success": 1,
        "grid_aide_database_timestamp_seconds": end - 7200,
    }
