"""How many messages a person gets in all, through a real Alertmanager with the shipped configuration.

The days and what fires on them are those of tests/prometheus/test_days.py. `played` says what is scaled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.prometheus.situations import CAUSES, DAY, END, EVENING, EVERYTHING, PROBLEMS, START, WEEK, fired
from tests.prometheus.timeline import Firing
from tests.real.stack.played import Message, play

pytestmark = [
    pytest.mark.real("promtool", "prometheus-alertmanager", "amtool"),
    pytest.mark.timeout(2400),
]
MORNING, NIGHT = 7 * 60 + 30, 22 * 60  # between them warnings are sent


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Message]]:
    """What a person gets in each situation, in order, each with the minute of the situation."""
    return received(tmp_path_factory.mktemp("messages"), fired(tmp_path_factory.mktemp("days")))


def received(
    folder: Path, alerts: Mapping[str, list[Firing]], config: Path | None = None
) -> dict[str, list[Message]]:
    """Plays the week, and at the same time everything else, as boxes that live through one day."""
    found: dict[str, list[Message]] = {name: [] for name in alerts}
    shifts = {name: (EVERYTHING[name].begins - EVENING) % DAY for name in alerts if name != WEEK}
    day = [_later(alert, shift) for name, shift in shifts.items() for alert in alerts[name]]
    with ThreadPoolExecutor() as pool:
        plays = [
            pool.submit(play, _new(folder / "week"), alerts[WEEK], 0, 7 * DAY + 480, config),
            pool.submit(play, _new(folder / "day"), day, EVENING, DAY + 120, config),
        ]
        for played in plays:
            for message in played.result():
                shift = shifts.get(message.instance, 0)
                found[message.instance].append(message._replace(minute=message.minute - shift))
    return found


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _later(alert: Firing, minutes: int) -> Firing:
    return alert._replace(start=alert.start + minutes, end=alert.end and alert.end + minutes)


def shown(messages: list[Message]) -> Counter[str]:
    """How often each message came: its priority and its alert."""
    return Counter(f"{message.priority} {message.alert}" for message in messages)


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_person_gets_these_messages_and_no_others(messages: dict[str, list[Message]], name: str) -> None:
    """A cause without what follows from it, ends that are quiet, and no end of what needs no one."""
    assert shown(messages[name]) == Counter(EVERYTHING[name].messages)


def test_an_ordinary_week_is_ten_messages_and_none_is_urgent(messages: dict[str, list[Message]]) -> None:
    """A warning and its end on the phone, and eight mails."""
    assert Counter(message.priority for message in messages[WEEK]) == {"default": 1, "low": 1, "mail": 8}


@pytest.mark.parametrize("name", [*PROBLEMS, *CAUSES])
def test_a_problem_is_sent_while_it_lasts_and_once(messages: dict[str, list[Message]], name: str) -> None:
    """No alert is sent twice; the first one before the problem is solved."""
    sent = [message for message in messages[name] if message.priority != "low"]
    assert START <= sent[0].minute < END
    assert set(Counter(message.alert for message in sent).values()) == {1}


def test_warnings_are_sent_by_day(messages: dict[str, list[Message]]) -> None:
    """What began in the night comes in the morning."""
    moments = {
        (EVERYTHING[name].begins + message.minute) % DAY
        for name, received in messages.items()
        for message in received
        if message.priority == "default"
    }
    assert moments
    assert all(MORNING <= moment <= NIGHT for moment in moments)
