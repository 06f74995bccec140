"""What each state's code takes, and what is not quite enough for it, as a real Prometheus computes it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from grafana import value_mappings
from grafana.value_mappings import colour
from prometheus import states
from prometheus import thresholds as t
from prometheus.conditions import CONDITIONS
from prometheus.health import DOMAINS, health, problems, worst_problem
from prometheus.states import STATES, State

BOX = 'job="grid", instance="atlas"'
LENGTH = 480  # minutes of samples
NOW = LENGTH * 60

# Series without job and instance, and their value, or values in promtool's notation; None: no such series.
Samples = dict[str, float | str | None]


class Case(NamedTuple):
    """The samples that differ from those of a box that is OK, and the state that follows."""

    domain: str
    samples: Samples
    state: State | None


EACH_38_MINUTES = "0x127 1x37 2x37 3x37 4x37 5x37 6x37 7x37 8x37 9x37 10x10"
HEALTHY: dict[str, Samples] = {
    "gpu": {
        "grid_gpus": 2,
        'grid_gpu_temperature_celsius{gpu="0"}': 40,
        'grid_gpu_temperature_celsius{gpu="1"}': t.GPU_HOT_CELSIUS - 1,
        'grid_gpu_throttle_active{gpu="0", reason="sw_power_cap"}': 1,
        'grid_gpu_throttle_active{gpu="0", reason="sw_thermal_slowdown"}': 1,
        'grid_gpu_throttle_active{gpu="0", reason="hw_slowdown"}': 0,
        'grid_gpu_recovery_action{gpu="0", action="none"}': 1,
        'grid_gpu_recovery_action{gpu="0", action="reset"}': 0,
        'grid_gpu_ecc_errors_total{gpu="0", kind="corrected"}': 5,
        'grid_gpu_ecc_errors_total{gpu="0", kind="uncorrected"}': 0,
        'grid_gpu_memory_used_bytes{gpu="0"}': 97,
        'grid_gpu_memory_total_bytes{gpu="0"}': 100,
    },
    "llm": {
        'grid_llm_up{server="ollama"}': 1,
        'grid_llm_ready{server="ollama"}': 1,
        'grid_llm_read_error{server="ollama", reason="refused"}': 0,
        'grid_llm_read_error{server="ollama", reason="other_kind"}': 0,
        'grid_llm_server_info{server="ollama", kind="ollama"}': 1,
        # A batch is worked off: a queue that gets shorter.
        'grid_llm_requests{server="vllm", model="qwen", state="waiting"}': "0x450 300-5x30",
        # Unloaded before its time, and it is back; the other was not pinned.
        'grid_llm_model_unloads_total{server="ollama", model="a:b", reason="early"}': "0x400 1x80",
        'grid_llm_model_pinned{server="ollama", model="a:b"}': 1,
        'grid_llm_model_state{server="ollama", model="a:b", state="loaded"}': 1,
        'grid_llm_model_unloads_total{server="ollama", model="c:d", reason="early"}': "0x400 1x80",
        'grid_llm_model_pinned{server="ollama", model="c:d"}': "0x400 _x80",
        'grid_llm_model_state{server="ollama", model="c:d", state="loaded"}': "1x400 _x80",
    },
    "host": {
        "grid_memory_available_bytes": 10e9,
        "grid_memory_total_bytes": 100e9,
        'grid_pressure_stalled_seconds_total{resource="memory"}': "0+5x480",
        'grid_pressure_stalled_seconds_total{resource="io"}': "0+50x480",
    },
    "disk": {
        'grid_filesystem_avail_bytes{mountpoint="/"}': 100,
        'grid_filesystem_size_bytes{mountpoint="/"}': 1000,
        'grid_directory_scan_errors{path="/ai"}': 0,
    },
    "tor": {"grid_tor_up": 1, "grid_tor_is_tor": 1},
    "containers": {
        "grid_container_engine_up": 1,
        'grid_container_state{container="web", state="exited"}': 0,
        'grid_container_state{container="job", state="exited"}': 1,
        'grid_container_state{container="web", state="restarting"}': 0,
        'grid_container_exit_code{container="job"}': 0,
        'grid_container_health{container="web", health="unhealthy"}': 0,
        'grid_container_info{container="web", restart_policy="always"}': 1,
        'grid_container_info{container="job", restart_policy="on-failure:3"}': 1,
        'grid_container_restarts_total{container="web"}': "0x440 1 2 3 4x50",
    },
    "services": {
        'grid_service_state{name="ollama.service", state="failed"}': 0,
        'grid_service_state{name="ollama.service", state="inactive"}': 0,
        'grid_service_state{name="old.service", state="inactive"}': 1,
        'grid_service_enabled{name="ollama.service"}': 1,
        'grid_service_enabled{name="old.service"}': 0,
        "grid_systemd_failed_units": 0,
        'grid_systemd_timer_next_trigger_timestamp_seconds{name="sync.timer"}': NOW - t.TIMER_OVERDUE_SECONDS,
        # Its service still runs: the next trigger stays where it was.
        'grid_systemd_timer_next_trigger_timestamp_seconds{name="backup.timer"}': 10,
        'grid_systemd_timer_last_trigger_timestamp_seconds{name="backup.timer"}': 10,
    },
    "aide": {
        "grid_aide_check_success": 1,
        "grid_aide_clean": 1,
        "grid_aide_last_check_timestamp_seconds": NOW - t.AIDE_OVERDUE_SECONDS,
    },
    "exporter": {
        "grid_exporter_config_last_reload_successful": 1,
        'grid_probe_success{probe="gpu"}': 1,
        'grid_probe_stuck{probe="gpu"}': 0,
    },
}
PROBES = [domain.name for domain in DOMAINS if domain.name != "exporter"]


OF_THEIR_OWN = {"disk": "disk:/ai", "llm": "llm:ollama"}


def probe(domain: str, what: str) -> str:
    """A metric of a domain's probe; a directory or a server is a probe of its own."""
    return f'grid_probe_{what}{{probe="{OF_THEIR_OWN.get(domain, domain)}"}}'


def enabled(domain: str) -> str:
    """Whether the exporter watches such a thing."""
    return f'grid_probe_enabled{{probe="{domain}"}}'


def nothing_else(domain: str) -> Samples:
    """Everything that the domain's probe collects, absent."""
    return dict.fromkeys([*HEALTHY[domain], probe(domain, "success")])


DISK = 'grid_filesystem_avail_bytes{mountpoint="/"}'
SIZE = 'grid_filesystem_size_bytes{mountpoint="/"}'
UP, READY = (f'grid_llm_{name}{{server="ollama"}}' for name in ("up", "ready"))
QUEUE = 'grid_llm_requests{server="vllm", model="qwen", state="waiting"}'
PINNED, RESIDENT = (
    f'grid_llm_model_{name}{{server="ollama", model="a:b"{state}}}'
    for name, state in (("pinned", ""), ("state", ', state="loaded"'))
)
INFO = 'grid_llm_server_info{server="ollama", kind="ollama"}'
SILENT, OTHER = (
    f'grid_llm_read_error{{server="ollama", reason="{reason}"}}' for reason in ("refused", "other_kind")
)
LLM_DOWN: Samples = {UP: 0, READY: None, SILENT: 1}
GONE: Samples = {PINNED: "1x400 _x80", RESIDENT: "1x400 _x80"}
EXITED = 'grid_container_state{container="web", state="exited"}'
DUE = 'grid_systemd_timer_next_trigger_timestamp_seconds{name="sync.timer"}'

CASES = [
    *(Case(domain, {}, states.OK) for domain in HEALTHY),
    Case("exporter", {"up": 0}, states.DOWN),
    # A box that does not answer is no problem of its parts: only the exporter's domain shows it.
    *(Case(domain, {"up": 0}, states.OK) for domain in PROBES),
    *(Case(domain, {probe(domain, "success"): 0}, states.UNKNOWN) for domain in PROBES),
    # Off: the exporter reports so. No state yet: the first run goes on, or hangs.
    *(
        Case(
            domain,
            nothing_else(domain) | {enabled(domain): 0, probe(domain, "stuck"): None},
            states.OFF,
        )
        for domain in PROBES
    ),
    *(Case(domain, nothing_else(domain), None) for domain in PROBES),
    *(Case(domain, nothing_else(domain) | {probe(domain, "stuck"): 1}, states.UNKNOWN) for domain in PROBES),
    Case("gpu", {"grid_gpus": "2x400 1x200"}, states.GONE),
    Case("gpu", {"grid_gpus": "2x400 1x200", "grid_gpus_expected": 1}, states.OK),
    Case("gpu", {"grid_gpus_expected": 3}, states.GONE),
    Case("gpu", {'grid_gpu_ecc_errors_total{gpu="0", kind="uncorrected"}': 1}, states.ECC_ERRORS),
    Case("gpu", {'grid_gpu_temperature_celsius{gpu="1"}': t.GPU_HOT_CELSIUS}, states.HOT),
    Case(
        "gpu",
        {
            'grid_gpu_temperature_celsius{gpu="1"}': t.GPU_HOT_CELSIUS,
            'grid_gpu_gtt_total_bytes{gpu="1"}': 100,
        },
        states.OK,
    ),
    Case("gpu", {'grid_gpu_recovery_action{gpu="1", action="reset"}': 1}, states.NEEDS_RESET),
    Case("gpu", {'grid_gpu_recovery_action{gpu="1", action="drain_p2p"}': 1}, states.OK),
    Case("gpu", {'grid_gpu_throttle_active{gpu="0", reason="hw_slowdown"}': 1}, states.THROTTLED),
    Case("gpu", {'grid_gpu_throttle_active{gpu="0", reason="thermal"}': 1}, states.THROTTLED),
    Case("gpu", {'grid_gpu_memory_used_bytes{gpu="0"}': 97.1}, states.MEMORY_FULL),
    Case("llm", LLM_DOWN, states.SERVER_DOWN),
    # Something else answers there: its probe fails.
    Case("llm", {UP: 0, READY: None, OTHER: 1, probe("llm", "success"): 0}, states.UNKNOWN),
    Case("llm", {READY: 0}, states.LOADING),
    # Ten minutes' mean: 4.1 more than ten minutes before, and 3.9; and a queue that was empty meanwhile.
    Case("llm", {QUEUE: "1x450 1+0.41x30"}, states.QUEUE_GROWS),
    Case("llm", {QUEUE: "1x450 1+0.39x30"}, states.OK),
    Case("llm", {QUEUE: "0x461 1+0.9x19"}, states.OK),
    Case("llm", GONE, states.MODEL_GONE),
    Case("llm", GONE | LLM_DOWN, states.SERVER_DOWN),
    Case("llm", GONE | {INFO: None, INFO.replace('ollama"}', 'llama-swap"}'): 1}, states.OK),
    Case("host", {"grid_memory_available_bytes": 7.9e9}, states.LOW),
    Case("host", {"grid_memory_available_bytes": 4e9}, states.LOW),
    Case("host", {"grid_memory_available_bytes": 3.9e9}, states.NEARLY_OUT),
    # Little of much memory is much.
    Case("host", {"grid_memory_available_bytes": 8e9}, states.OK),
    Case("host", {"grid_memory_available_bytes": 3.9e9, "grid_memory_total_bytes": 50e9}, states.LOW),
    Case("host", {'grid_pressure_stalled_seconds_total{resource="memory"}': "0+7x480"}, states.STALLING),
    Case("disk", {DISK: 99}, states.LOW_SPACE),
    Case("disk", {DISK: 29}, states.FULL),
    # Little of a large disk is much.
    Case("disk", {DISK: 20e9, SIZE: 1000e9}, states.LOW_SPACE),
    Case("disk", {DISK: 100e9, SIZE: 4000e9}, states.OK),
    # Full within three days at the pace of six hours and of the last one; not where much is left, or at rest.
    Case("disk", {DISK: "860-1x480"}, states.FILLING),
    Case("disk", {DISK: "990-1x480"}, states.OK),
    Case("disk", {DISK: "740-1x380 360x120"}, states.OK),
    # Ten minutes of samples are no pace: a box just installed that downloads a model.
    Case("disk", {DISK: "_x470 390-10x10", SIZE: 1000}, states.OK),
    Case("disk", {'grid_directory_scan_errors{path="/ai"}': 1}, states.SCAN_ERRORS),
    # Each directory is a probe: one that fails hides neither itself nor a full disk.
    Case("disk", {'grid_probe_success{probe="disk:/old"}': 0}, states.UNKNOWN),
    Case("disk", {'grid_probe_stuck{probe="disk:/old"}': 1}, states.UNKNOWN),
    Case("disk", {'grid_probe_success{probe="disk:/old"}': 0, DISK: 29}, states.FULL),
    Case("tor", {"grid_tor_up": 0, "grid_tor_is_tor": None}, states.TOR_DOWN),
    Case("tor", {"grid_tor_is_tor": 0}, states.NOT_TOR),
    Case("containers", {"grid_container_engine_up": 0}, states.ENGINE_DOWN),
    Case(
        "containers",
        {'grid_container_state{container="web", state="restarting"}': 1},
        states.RESTARTS,
    ),
    Case("containers", {'grid_container_restarts_total{container="web"}': EACH_38_MINUTES}, states.RESTARTS),
    Case("containers", {'grid_container_state{container="old", state="dead"}': 1}, states.RESTARTS),
    Case(
        "containers",
        {'grid_container_restarts_total{container="web"}': "0x440 1 2 3x20 4 5x20"},
        states.RESTARTS,
    ),
    Case(
        "containers",
        {'grid_container_health{container="web", health="unhealthy"}': 1},
        states.UNHEALTHY,
    ),
    Case("containers", {EXITED: 1}, states.STOPPED),
    Case("containers", {'grid_container_exit_code{container="job"}': 1}, states.STOPPED),
    Case("services", {'grid_service_state{name="ollama.service", state="failed"}': 1}, states.FAILED),
    Case("services", {"grid_systemd_failed_units": 1}, states.FAILED),
    Case("services", {DUE: NOW - t.TIMER_OVERDUE_SECONDS - 1}, states.OVERDUE),
    Case("services", {'grid_service_state{name="ollama.service", state="inactive"}': 1}, states.STOPPED),
    Case("aide", {"grid_aide_check_success": 0}, states.CHECK_FAILED),
    Case("aide", {"grid_aide_clean": 0}, states.FINDINGS),
    Case(
        "aide",
        {"grid_aide_last_check_timestamp_seconds": NOW - t.AIDE_OVERDUE_SECONDS - 1},
        states.OVERDUE,
    ),
    Case("aide", {"grid_aide_last_check_timestamp_seconds": None}, states.NOT_CHECKED),
    Case("exporter", {"grid_exporter_config_last_reload_successful": 0}, states.BAD_CONFIG),
    Case("exporter", {"grid_exporter_web_config_last_reload_successful": 0}, states.BAD_CONFIG),
    Case("exporter", {'grid_probe_stuck{probe="gpu"}': 1}, states.STUCK),
    Case("exporter", {'grid_probe_success{probe="gpu"}': 0}, states.PROBE_FAILING),
]


REASONS = [
    (Case("gpu", {'grid_gpu_temperature_celsius{gpu="1"}': t.GPU_HOT_CELSIUS}, states.HOT), "Hot · GPU 1"),
    (Case("gpu", {probe("gpu", "success"): 0}, states.UNKNOWN), "Unknown · gpu probe"),
    (Case("llm", LLM_DOWN, states.SERVER_DOWN), "Server down · ollama"),
    (Case("llm", {probe("llm", "success"): 0}, states.UNKNOWN), "Unknown · llm:ollama probe"),
    (Case("llm", GONE, states.MODEL_GONE), "Model gone · a:b"),
    (Case("host", {"grid_memory_available_bytes": 3.9e9}, states.NEARLY_OUT), "Nearly out"),
    (Case("disk", {DISK: 29}, states.FULL), "Full · /"),
    (Case("disk", {'grid_directory_scan_errors{path="/ai"}': 1}, states.SCAN_ERRORS), "Scan errors · /ai"),
    (Case("containers", {EXITED: 1}, states.STOPPED), "Stopped · web"),
    (Case("services", {DUE: 0}, states.OVERDUE), "Overdue · sync.timer"),
    (Case("exporter", {'grid_probe_stuck{probe="gpu"}': 1}, states.STUCK), "Stuck · gpu"),
]


@pytest.mark.real("promtool")
def test_every_case_gives_its_state(tmp_path: Path) -> None:
    """Each domain's code is that of its worst condition, and the thresholds are exact."""
    _run_promtool(tmp_path, [_promtool_test(case) for case in CASES])


@pytest.mark.real("promtool")
def test_reasons_name_what_is_affected(tmp_path: Path) -> None:
    """A problem and the worst problem carry the state's text and the name of the thing in a label."""
    tests = []
    for case, reason in REASONS:
        test = _promtool_test(case)
        (check,) = test["promql_expr_test"]
        labels = {"labels": f'{{{BOX}, reason="{reason}"}}', "value": check["exp_samples"][0]["value"]}
        domain = case.domain
        by_query = {problems(domain, 'job="grid"'), f"max by (job, instance, reason) ({_worst(domain)})"}
        test["promql_expr_test"] = [check | {"expr": expr, "exp_samples": [labels]} for expr in by_query]
        tests.append(test)
    _run_promtool(tmp_path, tests)


def _worst(domain: str) -> str:
    return worst_problem(domain, 'job="grid"')


def _run_promtool(folder: Path, tests: list[dict[str, Any]]) -> None:
    file = folder / "health.yml"
    file.write_text(yaml.safe_dump({"tests": tests}), encoding="utf-8")
    ran = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_state_has_a_case() -> None:
    """Every state and every condition of every domain has a case."""
    assert {case.state for case in CASES} == {*STATES, None}
    for domain, chain in CONDITIONS.items():
        assert {condition.state for condition in chain} <= {
            case.state for case in CASES if case.domain == domain
        }


def test_codes_rise_with_severity() -> None:
    """The worst of several boxes is the highest code; no two states share one."""
    assert len({state.code for state in STATES}) == len(STATES)
    colours = list(dict.fromkeys(colour(state) for state in STATES))
    assert colours == [
        value_mappings.OFF,
        value_mappings.OK,
        value_mappings.WARNING,
        value_mappings.UNKNOWN,
        value_mappings.CRITICAL,
    ]


def _promtool_test(case: Case) -> dict[str, Any]:
    base: Samples = {"up": 1, 'grid_probe_last_success_timestamp_seconds{probe="any"}': "0+60x480"}
    if case.domain in PROBES:
        base |= {enabled(case.domain): 1, probe(case.domain, "success"): 1, probe(case.domain, "stuck"): 0}
    samples = base | HEALTHY[case.domain] | case.samples
    code = [] if case.state is None else [{"labels": f"{{{BOX}}}", "value": case.state.code}]
    return {
        "name": f"{case.domain} {case.state}",
        "interval": "1m",
        "input_series": [_series(name, value) for name, value in samples.items() if value is not None],
        "promql_expr_test": [
            {"expr": health(case.domain, 'job="grid"'), "eval_time": f"{LENGTH}m", "exp_samples": code}
        ],
    }


def _series(name: str, value: float | str) -> dict[str, str]:
    metric, _, labels = name.rstrip("}").partition("{")
    values = value if isinstance(value, str) else f"{value}x{LENGTH}"
    return {"series": f"{metric}{{{', '.join(filter(None, (BOX, labels)))}}}", "values": values}
