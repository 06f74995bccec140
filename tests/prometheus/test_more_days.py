"""More days of one box: what comes and goes is one alert, and what is ordinary life is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.prometheus.days import MODELS, Series, Value, healthy, off, rendered
from tests.prometheus.promtool import FOLDER, errors_of, needs_promtool

START, LENGTH = 90, 560  # minutes: when it begins, and how long the box is looked at
FIRING = 'ALERTS{alertstate="firing", alertname!="GridWatchdog"}'
BEGUN = f"sum by (instance, alertname) (count_over_time(({FIRING} unless {FIRING} offset 1m)[{LENGTH}m:1m]))"
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


# Whatever an owner calls a box besides its instance, each rule finds what belongs together.
LABELS = ', presence="sometimes", site="home"'
LABELLED = {**restarted(5, 5), "grid_systemd_failed_units": lasting(60, 1, 0)}


def series(name: str, box: Series, labels: str = "") -> list[dict[str, str]]:
    """A day's series, on a box that is healthy but for these."""
    lines = rendered({**healthy(), **box}, name, range(LENGTH + 1))
    return [{**line, "series": line["series"].removesuffix("}") + labels + "}"} for line in lines]


def begun(instance: str, alerts: dict[str, int]) -> list[dict[str, object]]:
    """Samples: how often each alert of a box begins."""
    return [
        {"labels": f'{{alertname="{name}", instance="{instance}"}}', "value": times}
        for name, times in alerts.items()
    ]


@needs_promtool
@pytest.mark.timeout(900)
def test_each_day_gives_its_alerts_and_no_others(tmp_path: Path) -> None:
    """Each is a box of its own; each alert begins as often as it should, and no rule fails."""
    expected = [sample for name, (_, alerts) in DAYS.items() for sample in begun(name, alerts)]
    group = {
        "interval": "1m",
        "input_series": [
            *(line for name, (box, _) in DAYS.items() for line in series(name, box)),
            *series("labelled", LABELLED, LABELS),
        ],
        "promql_expr_test": [
            {
                "expr": BEGUN,
                "eval_time": f"{LENGTH}m",
                "exp_samples": [*expected, *begun("labelled", {"GridServiceUnitsFailed": 1})],
            }
        ],
    }
    file = tmp_path / "days.yml"
    rules = [str(FOLDER / "rules" / name) for name in ("alerts.yml", "recording.yml")]
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [group]}), "utf-8")
    assert errors_of("promtool", "test", "rules", file) == ""
