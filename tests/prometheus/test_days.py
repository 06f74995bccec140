"""What a person hears of days of one box: little in an ordinary week, each problem in time and once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.prometheus.days import MODELS, Series, Value, healthy, off, rendered
from tests.prometheus.promtool import FOLDER, alert_rules, needs_promtool, run

DAY = 1440
FIRING = 'ALERTS{alertstate="firing", alertname!="GridWatchdog"}'
WEEK_SCRAPED = 5  # minutes between two scrapes; the alerts are looked at as often
AVAILABLE = f"grid_filesystem_avail_bytes{{{MODELS}}}"
START = 90  # the minute in which a problem begins


def since(minute: int, value: Value, before: float) -> Callable[[int], float | None]:
    """One value before a minute, and another from then on."""
    return lambda now: before if now < minute else value(now) if callable(value) else value


def within(hours: int, length: int) -> Callable[[int], bool]:
    """Whether a minute is one of so many after an hour of the week."""
    return lambda minute: hours * 60 <= minute < hours * 60 + length


def ordinary_week() -> dict[str, Value]:
    """Updates and upgrades each night, which are accepted, a download, a reboot and a training night."""
    box = healthy()
    at_night = within(6 * 24 + 22, 480)
    for gpu in "01":
        card = f'gpu="{gpu}", uuid="GPU-{gpu}"'
        box[f"grid_gpu_temperature_celsius{{{card}}}"] = lambda now: 84 if at_night(now) else 50
        box[f"grid_gpu_memory_used_bytes{{{card}}}"] = lambda now: 23.6e9 if at_night(now) else 1e9
        for reason in ("sw_power_cap", "sw_thermal_slowdown"):
            box[f'grid_gpu_throttle_active{{{card}, reason="{reason}"}}'] = lambda now: int(at_night(now))
    # Watchtower replaces vLLM at four, which takes 12 minutes to load.
    vllm = 'container="vllm"'
    box[f'grid_container_state{{{vllm}, state="running"}}'] = lambda now: int(now % DAY not in (240, 241))
    box[f'grid_container_state{{{vllm}, state="exited"}}'] = lambda now: int(now % DAY in (240, 241))
    box[f'grid_container_health{{{vllm}, health="unhealthy"}}'] = lambda now: int(242 <= now % DAY < 254)
    # Packages are upgraded at six each day, found by the next check at twenty past five, accepted at nine.
    checked = [day * DAY + 320 for day in range(1, 7)]
    box["grid_aide_packages_timestamp_seconds"] = lambda now: (
        max((at - 1400 for at in checked if at - 1400 <= now), default=-15000) * 60
    )
    box["grid_aide_clean"] = lambda now: int(not any(at <= now < at + 220 for at in checked))
    box["grid_aide_database_timestamp_seconds"] = lambda now: (
        max((at for at in checked if at + 220 <= now), default=-15000) * 60
    )
    box["grid_aide_accept_timestamp_seconds"] = lambda now: (
        max((at + 220 for at in checked if at + 220 <= now), default=-14000) * 60
    )
    # 150 GB in 80 minutes.
    began = (24 + 20) * 60
    loaded: Callable[[int], float] = lambda now: min(max(now - began, 0), 80) * 1.875e9  # noqa: E731
    box[AVAILABLE] = lambda now: 300e9 - loaded(now)
    box['grid_directory_size_bytes{path="/ai"}'] = lambda now: 700e9 + loaded(now)
    rebooted = 3 * DAY + 600
    box["process_start_time_seconds"] = since(rebooted, (rebooted + 5) * 60, -4e5)
    box["grid_boot_timestamp_seconds"] = since(rebooted, (rebooted + 4) * 60, -5e5)
    return off(box, rebooted, rebooted + 5)


class Problem(NamedTuple):
    """What happens to a box, the alerts that follow, and within how many minutes the first of them fires."""

    box: Series
    alerts: tuple[str, ...]
    minutes: int


def tor_bypassed() -> dict[str, Value]:
    """Requests leave under the box's own address."""
    return {
        "grid_tor_is_tor": since(START, 0, 1),
        'grid_tor_exit_info{address="192.0.2.7"}': lambda now: None if now < START else 1,
    }


def clock_behind() -> dict[str, Value]:
    """All that the box reports of its own times moves by an hour."""
    moved: dict[str, Value] = {
        name: lambda now: now * 60 if now < START else now * 60 - 3600
        for name in healthy()
        if name.startswith("grid_probe_last_success")
    }
    timer = 'grid_systemd_timer_next_trigger_timestamp_seconds{name="backup.timer"}'
    return moved | {
        "grid_boot_timestamp_seconds": since(START, -5e5 - 3600, -5e5),
        timer: lambda now: (now // 60 + 1) * 3600 - (0 if now < START else 3600),
    }


PROBLEMS = {
    "the box is dead": Problem(off(healthy(), START, 999), ("GridExporterDown",), 10),
    "a log fills the disk": Problem(
        healthy() | {AVAILABLE: since(START, lambda now: max(110e9 - (now - START) * 1e9, 0), 110e9)},
        ("GridDiskLow", "GridDiskFullSoon", "GridDiskFull"),
        30,
    ),
    "memory leaks": Problem(
        healthy() | {"grid_memory_available_bytes": since(START, 2e9, 64e9)},
        ("GridMemoryNearlyOut", "GridMemoryLow"),
        10,
    ),
    "a card is off the bus": Problem(
        healthy() | {'grid_gpus{vendor="nvidia"}': since(START, 1, 2)}, ("GridGpuGone",), 10
    ),
    "a card is hot": Problem(
        healthy()
        | {
            'grid_gpu_temperature_celsius{gpu="0", uuid="GPU-0"}': since(
                START, lambda now: 91 if now % 15 else 88, 60
            )
        },
        ("GridGpuHot",),
        20,
    ),
    "a container crashes each six minutes": Problem(
        healthy() | {'grid_container_restarts_total{container="vllm"}': lambda now: max(now - START, 0) // 6},
        ("GridContainerRestarting",),
        45,
    ),
    "a container is down": Problem(
        healthy()
        | {
            'grid_container_state{container="vllm", state="exited"}': since(START, 1, 0),
            'grid_container_state{container="vllm", state="running"}': since(START, 0, 1),
        },
        ("GridContainerDown",),
        15,
    ),
    "a service has failed": Problem(
        healthy()
        | {
            'grid_service_state{name="ssh.service", category="c", state="failed"}': since(START, 1, 0),
            "grid_systemd_failed_units": since(START, 1, 0),
        },
        ("GridServiceFailed",),
        10,
    ),
    "tor is bypassed": Problem(healthy() | tor_bypassed(), ("GridTorBypassed",), 40),
    "files change without an upgrade": Problem(
        healthy() | {"grid_aide_clean": since(START, 0, 1)}, ("GridAideUnexplained", "GridAideFindings"), 5
    ),
    "somebody replaces the database of files": Problem(
        healthy() | {"grid_aide_database_timestamp_seconds": since(START, 5000, -9e5)},
        ("GridAideDatabaseChanged",),
        15,
    ),
    "the clock is an hour behind": Problem(healthy() | clock_behind(), ("GridClockSkew",), 20),
}
LENGTH = 300


def started(minutes: int, step: int) -> str:
    """PromQL: how often each alert has begun to fire, by name and severity."""
    begun = f"{FIRING} unless {FIRING} offset {step}m"
    return f"sum by (alertname, severity) (count_over_time(({begun})[{minutes}m:{step}m]))"


def outcome(folder: Path, groups: list[dict[str, Any]], every: int) -> str:
    """What promtool reports of these groups with the committed rules; nothing where they pass."""
    file = folder / "days.yml"
    rules = {"rule_files": [str(FOLDER / "rules" / "alerts.yml")], "evaluation_interval": f"{every}m"}
    file.write_text(json.dumps({**rules, "tests": groups}), "utf-8")
    done = run("promtool", "test", "rules", file, timeout=600)
    return done.stdout + done.stderr if done.returncode else ""


def expected(alert: str, severity: str, times: int) -> dict[str, Any]:
    """A sample of `started`."""
    return {"labels": f'{{alertname="{alert}", severity="{severity}"}}', "value": times}


def severities() -> dict[str, str]:
    """Each alert's severity for a box that is always on."""
    rules = alert_rules()
    return {
        name: "critical" if "{{" in rule["labels"]["severity"] else rule["labels"]["severity"]
        for name, rule in rules.items()
    }


@needs_promtool
def test_an_ordinary_week_has_no_critical_alert_and_few_warnings(tmp_path: Path) -> None:
    """A download, a reboot and two busy cards are information; of the upgrades the first is a warning."""
    week = {
        "GridDirectoryGrew": 1,
        "GridHostRebooted": 1,
        "GridGpuMemoryFull": 2,
        "GridAideFindings": 1,
        "GridAideFindingsAgain": 5,
    }
    by_severity = severities()
    assert [name for name in week if by_severity[name] == "critical"] == []
    assert sum(times for name, times in week.items() if by_severity[name] == "warning") <= 3
    group = {
        "interval": f"{WEEK_SCRAPED}m",
        "input_series": rendered(ordinary_week(), "atlas", range(0, 7 * DAY + 480, WEEK_SCRAPED)),
        "promql_expr_test": [
            {
                "expr": started(7 * DAY + 400, WEEK_SCRAPED),
                "eval_time": f"{7 * DAY + 400}m",
                "exp_samples": [expected(name, by_severity[name], times) for name, times in week.items()],
            }
        ],
    }
    assert outcome(tmp_path, [group], WEEK_SCRAPED) == ""


@needs_promtool
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_gives_its_alerts_in_time_and_once(tmp_path: Path, name: str) -> None:
    """Nothing fires before it, the first of its alerts in time, and each once within the next hours."""
    problem = PROBLEMS[name]
    by_severity = severities()
    group = {
        "name": name,
        "interval": "1m",
        "input_series": rendered(problem.box, "atlas", range(LENGTH + 1)),
        "promql_expr_test": [
            {
                "expr": started(LENGTH, 1),
                "eval_time": f"{LENGTH}m",
                "exp_samples": [expected(alert, by_severity[alert], 1) for alert in problem.alerts],
            },
            {
                "expr": f"group by (alertname) ({FIRING})",
                "eval_time": f"{START - 1}m",
                "exp_samples": [],
            },
            {
                "expr": f'group by (alertname) ({FIRING} and ALERTS{{alertname="{problem.alerts[0]}"}})',
                "eval_time": f"{START + problem.minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{problem.alerts[0]}"}}', "value": 1}],
            },
        ],
    }
    assert outcome(tmp_path, [group], 1) == ""
