"""A real Alertmanager with the shipped configuration: what a phone gets, when, and how loud."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from prometheus.stack import programs
from prometheus.stack.program import Program, address
from tests.prometheus.promtool import FOLDER, alert_rules
from tests.real.ntfy import Message, Ntfy, ntfy

pytestmark = [pytest.mark.real("prometheus-alertmanager", "amtool", "curl"), pytest.mark.timeout(1800)]
TIMEOUT = 90.0
NEVER, ALWAYS = {"years": ["2000"]}, {"weekdays": ["sunday:saturday"]}
DASHBOARD, RUNBOOK = (
    "http://localhost:3000/d/grid-disk?var-instance=atlas",
    "https://example.org/GridDiskFull.md",
)
MANY = 30
ALERTS = FOLDER.parent / "docs" / "alerts.md"


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Ntfy]:
    """What is sent to the phone."""
    with ntfy(tmp_path) as received:
        yield received


@pytest.fixture
def alertmanager(tmp_path: Path, phone: Ntfy) -> Iterator[Program]:
    """Alertmanager with the shipped configuration by day, but quicker, and with the phone's ntfy."""
    configure(tmp_path, phone, day=ALWAYS)
    with programs.alertmanager(tmp_path, address()) as program:
        yield program


def configure(folder: Path, phone: Ntfy, day: dict[str, Any]) -> None:
    """Writes the configuration. day: when it is day."""
    text = (FOLDER / "alertmanager.yml").read_text("utf-8")
    config = yaml.safe_load(text.replace("https://ntfy.example.org", phone.url))
    for receiver in config["receivers"]:
        receiver.pop("email_configs", None)
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    (interval,) = config["time_intervals"]
    interval["time_intervals"] = [day]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), "utf-8")


def post(program: Program, path: str, body: object) -> None:
    """Posts to Alertmanager."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{program.url}{path}", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=TIMEOUT).close()


def alert(name: str, summary: str = "", *, ended: bool = False, **labels: str) -> dict[str, Any]:
    """An alert as Prometheus sends it, firing for an hour more or ended."""
    now = time.time()
    begin, end = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        for moment in (now - 60, now if ended else now + 3600)
    )
    own = {"alertname": name, "job": "grid", "instance": "atlas", **labels}
    links = {"dashboard_url": DASHBOARD, "runbook_url": RUNBOOK}
    return {
        "labels": alert_rules()[name]["labels"] | own,
        "annotations": {"summary": summary or f"atlas: {name}", "description": "Look. " * 50, **links},
        "startsAt": begin,
        "endsAt": end,
    }


def fire(program: Program, *alerts: dict[str, Any]) -> None:
    """Sends alerts to Alertmanager."""
    post(program, "/api/v2/alerts", alerts)


def wait(happens: Callable[[], object]) -> None:
    """Waits until something happens."""
    end = time.monotonic() + TIMEOUT
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_critical_is_urgent_and_its_end_is_not(alertmanager: Program, phone: Ntfy) -> None:
    """The message has summary, description, dashboard and runbook, as it begins and as it ends."""
    fire(alertmanager, alert("GridDiskFull"))
    wait(lambda: len(phone.messages) == 1)
    fire(alertmanager, alert("GridDiskFull", ended=True))
    wait(lambda: len(phone.messages) == 2)
    title = "GridDiskFull on atlas"
    text = f"atlas: GridDiskFull\n{'Look. ' * 50}\nDashboard: {DASHBOARD}\nRunbook: {RUNBOOK}"
    assert phone.messages == [Message("urgent", title, text), Message("low", title, f"Over: {text}")]


def test_warning_is_not_urgent(alertmanager: Program, phone: Ntfy) -> None:
    """By day it comes as any other message does."""
    fire(alertmanager, alert("GridMemoryLow"))
    wait(lambda: phone.messages)
    assert phone.messages[0].priority == "default"


def test_warning_of_the_night_comes_in_the_morning(
    alertmanager: Program, phone: Ntfy, tmp_path: Path
) -> None:
    """By night it is held back, while what is critical comes and ends as by day."""
    configure(tmp_path, phone, day=NEVER)
    post(alertmanager, "/-/reload", None)
    fire(alertmanager, alert("GridMemoryLow"), alert("GridTorDown"))
    wait(lambda: len(phone.messages) == 1)
    fire(alertmanager, alert("GridTorDown", ended=True))
    wait(lambda: len(phone.messages) == 2)
    assert [message.title for message in phone.messages] == ["GridTorDown on atlas"] * 2
    configure(tmp_path, phone, day=ALWAYS)
    post(alertmanager, "/-/reload", None)
    wait(lambda: len(phone.messages) == 3)
    assert phone.messages[2].title == "GridMemoryLow on atlas"


def test_second_box_sees_whether_the_watchdog_arrives(alertmanager: Program) -> None:
    """The line of docs/alerts.md sends nothing while Alertmanager has the watchdog, and else its message."""
    line = next(line for line in ALERTS.read_text("utf-8").splitlines() if line.startswith("*/5 * * * * "))
    command, _ = line.removeprefix("*/5 * * * * ").split(" || ")
    command = f"{command.replace('http://monitor:9093', alertmanager.url)} || echo silent"
    check = ["sh", "-c", command]
    assert subprocess.run(check, capture_output=True, text=True, check=True).stdout == "silent\n"
    fire(alertmanager, alert("GridMemoryLow"), alert("GridWatchdog"))
    assert subprocess.run(check, capture_output=True, text=True, check=True).stdout == ""


def test_many_alerts_of_one_group_fit_into_a_message(alertmanager: Program, phone: Ntfy) -> None:
    """A few are listed and the others counted: ntfy refuses more than 4096 bytes."""
    long = f"{'b' * 256}: container {'c' * 256} is down"
    fire(alertmanager, *(alert("GridContainerDown", long, container=f"{n}") for n in range(MANY)))
    wait(lambda: phone.messages and f"and {MANY - 4} more" in phone.messages[-1].text)
    assert phone.messages[-1].text.count(long) == 4
    assert all(len(message.text.encode()) <= 4096 for message in phone.messages)
