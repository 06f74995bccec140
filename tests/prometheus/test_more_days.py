"""More days of one box: what comes and goes is one alert, and what is ordinary life is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.prometheus.days import MODELS, Series, Value, healthy, off, rendered
from tests.prometheus.promtool import FOLDER, needs_promtool, run

START, LENGTH = 90, 700  # minutes: when it begins, and how long the box is looked at
FIRING = 'ALERTS{alertstate="firing", alertname!="GridWatchdog"}'
BEGUN = f"sum by (alertname) (count_over_time(({FIRING} unless {FIRING} offset 1m)[{LENGTH}m:1m]))"
VLLM = 'container="vllm"'
LLM = 'server="vllm"'
AVAILABLE, SIZE = (f"grid_filesystem_{kind}_bytes{{{MODELS}}}" for kind in ("avail", "size"))


def now_and_then(length: int, period: int, value: float, otherwise: float) -> Callable[[int], float]:
    """A value for some minutes of each period."""
    return lambda now: value if now >= START and (now - START) % period < length else otherwise


def lasting(minutes: int, value: float | None, otherwise: float | None) -> Callable[[int], float | None]:
    """A value for so many minutes."""
    return lambda now: value if START <= now < START + minutes else otherwise


def counted(every: int) -> Callable[[int], float]:
    """A counter that rises at even distances."""
    return lambda now: max(now - START, 0) // every


def comes_and_goes(away: int, back: int) -> dict[str, Value]:
    """A box whose network is bad."""
    box: dict[str, Value] = dict(healthy())
    for start in range(START, LENGTH, away + back):
        box = off(box, start, start + away)
    return box


def restarted(down: int, loading: int) -> dict[str, Value]:
    """A server that refuses connections for some minutes, and then loads its model."""
    return {
        f"grid_llm_up{{{LLM}}}": lasting(down, 0, 1),
        f'grid_llm_read_error{{{LLM}, reason="refused"}}': lasting(down, 1, 0),
        f"grid_llm_ready{{{LLM}}}": lambda now: (
            None if START <= now < START + down else int(not START <= now < START + down + loading)
        ),
    }


def unmounted() -> dict[str, Value]:
    """The disk with the models is gone; its place is there, and empty."""
    gone = {series: value for series, value in off(healthy(), START, LENGTH + 1).items() if MODELS in series}
    return {
        **gone,
        'grid_directory_size_bytes{path="/ai"}': lambda now: 700e9 if now < START else 4096,
        'grid_directory_info{path="/ai", mountpoint="/ai"}': lambda now: 1 if now < START else None,
        'grid_directory_info{path="/ai", mountpoint="/"}': lambda now: None if now < START else 1,
    }


def clock_set(seconds: int) -> dict[str, Value]:
    """All times that the box reports move."""
    moved: dict[str, Value] = {
        name: lambda now: now * 60 + (seconds if now >= START else 0)
        for name in healthy()
        if name.startswith("grid_probe_last_success")
    }
    return moved | {"grid_boot_timestamp_seconds": lambda now: -5e5 + (seconds if now >= START else 0)}


# How often each alert begins, after what happens.
DAYS: dict[str, tuple[Series, dict[str, int]]] = {
    # The first three times it is away are an alert each: by then it shows that it comes and goes.
    "a box comes and goes": (comes_and_goes(8, 20), {"GridExporterDown": 4}),
    "Tor comes and goes": ({"grid_tor_up": now_and_then(15, 30, 0, 1)}, {"GridTorDown": 1}),
    "a probe fails each forty minutes": (
        {'grid_probe_success{probe="tor"}': now_and_then(10, 40, 0, 1)},
        {"GridProbeFailing": 1},
    ),
    "a health check comes and goes": (
        {f'grid_container_health{{{VLLM}, health="unhealthy"}}': now_and_then(20, 40, 1, 0)},
        {"GridContainerUnhealthy": 1},
    ),
    "a container runs out of memory each 45 minutes": (
        {f"grid_container_oom_killed{{{VLLM}}}": now_and_then(1, 45, 1, 0)},
        {"GridContainerOomKilled": 1},
    ),
    "a container crashes each half an hour": (
        {f"grid_container_restarts_total{{{VLLM}}}": counted(30)},
        {"GridContainerRestarting": 1},
    ),
    "a service crashes each half an hour": (
        {'grid_service_restarts_total{name="ssh.service", category="c"}': counted(30)},
        {"GridServiceRestarting": 1},
    ),
    "the disk with the models is gone": (unmounted(), {"GridDirectoryUnmounted": 1}),
    "a download of six hours that fits": (
        {SIZE: 4e12, AVAILABLE: lambda now: 1.5e12 - min(max(now - START, 0), 360) * 1e12 / 360},
        {},
    ),
    "vLLM starts for twenty minutes": (restarted(20, 0), {}),
    "llama.cpp loads for twenty minutes": (restarted(1, 20), {}),
    "the clock is set forward": (clock_set(90), {}),
    "the clock is set back": (clock_set(-90), {}),
    "an exporter is upgraded": (off(healthy(), START, START + 2), {}),
    "three reboots": (
        off(off(off(healthy(), START, START + 5), START + 15, START + 20), START + 40, START + 45),
        {},
    ),
}


def errors(folder: Path, box: Series, alerts: dict[str, int], labels: str = "") -> str:
    """What promtool reports where other alerts began to fire than these, or a rule failed."""
    lines = rendered(box, "atlas", range(LENGTH + 1))
    for line in lines:
        line["series"] = line["series"].removesuffix("}") + labels + "}"
    samples = [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in alerts.items()]
    group = {
        "interval": "1m",
        "input_series": lines,
        "promql_expr_test": [{"expr": BEGUN, "eval_time": f"{LENGTH}m", "exp_samples": samples}],
    }
    file = folder / "day.yml"
    rules = [str(FOLDER / "rules" / name) for name in ("alerts.yml", "recording.yml")]
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [group]}), "utf-8")
    done = run("promtool", "test", "rules", file, timeout=600)
    return done.stdout + done.stderr if done.returncode else ""


@needs_promtool
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DAYS)
def test_a_day_gives_its_alerts_and_no_others(tmp_path: Path, name: str) -> None:
    """Each begins as often as it should."""
    box, alerts = DAYS[name]
    assert errors(tmp_path, {**healthy(), **box}, alerts) == ""


@needs_promtool
@pytest.mark.timeout(900)
def test_labels_of_a_target_break_no_rule(tmp_path: Path) -> None:
    """Whatever an owner calls a box besides its instance: each rule finds what belongs together."""
    box = {**healthy(), **restarted(5, 5), "grid_systemd_failed_units": lasting(60, 1, 0)}
    labels = ', presence="sometimes", site="home"'
    assert errors(tmp_path, box, {"GridServiceUnitsFailed": 1}, labels) == ""
