"""Days of one box: an ordinary week, twelve problems, and situations that are mostly no problem at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.prometheus.days import MODELS, Series, Value, healthy, off
from tests.prometheus.timeline import RULES, Firing, timelines

DAY = 1440
EVENING, NIGHT, MORNING = 20 * 60, 3 * 60, 9 * 60  # minutes of the day
AVAILABLE = f"grid_filesystem_avail_bytes{{{MODELS}}}"
SIZE = f"grid_filesystem_size_bytes{{{MODELS}}}"
CARDS = tuple(f'gpu="{gpu}", uuid="GPU-{gpu}"' for gpu in "01")
VLLM = 'container="vllm"'
START, END = 90, 210  # the minutes in which a problem begins, and in which somebody has solved it


class Situation(NamedTuple):
    """Something that a box goes through.

    alerts: how often each one fires. messages: what a person gets, each with its priority, or as mail.
    begins: the minute of the day in which it begins. within: for a problem, the minutes after START in which
    the first of its alerts fires.
    """

    box: Series
    alerts: dict[str, int]
    messages: tuple[str, ...]
    begins: int = MORNING
    within: int = 0


def during(start: int, end: int, value: Value, otherwise: float) -> Callable[[int], float | None]:
    """One value from a minute until another, and an ordinary one before and after."""

    def at(now: int) -> float | None:
        if not start <= now < end:
            return otherwise
        return value(now) if callable(value) else value

    return at


def lasting(value: Value, otherwise: float) -> Callable[[int], float | None]:
    """A value while a problem lasts."""
    return during(START, END, value, otherwise)


def since(minute: int, value: float, before: float) -> Callable[[int], float]:
    """One value before a minute, and another from then on."""
    return lambda now: before if now < minute else value


def training(at: Callable[[int], bool]) -> dict[str, Value]:
    """Two cards at their limits of power and temperature and with full memory."""
    box: dict[str, Value] = {}
    for card in CARDS:
        box[f"grid_gpu_temperature_celsius{{{card}}}"] = lambda now: 84 if at(now) else 50
        box[f"grid_gpu_memory_used_bytes{{{card}}}"] = lambda now: 23.6e9 if at(now) else 1e9
        for reason in ("sw_power_cap", "sw_thermal_slowdown"):
            box[f'grid_gpu_throttle_active{{{card}, reason="{reason}"}}'] = lambda now: int(at(now))
    return box


def replaced(at: Callable[[int], int]) -> dict[str, Value]:
    """A container is stopped, replaced, and takes 12 minutes to load. at: minutes since it was stopped."""
    return {
        f'grid_container_state{{{VLLM}, state="running"}}': lambda now: int(at(now) not in (0, 1)),
        f'grid_container_state{{{VLLM}, state="exited"}}': lambda now: int(at(now) in (0, 1)),
        f'grid_container_health{{{VLLM}, health="unhealthy"}}': lambda now: int(2 <= at(now) < 14),
    }


def downloaded(start: int, minutes: int, speed: float, before: float) -> dict[str, Value]:
    """So many bytes a minute arrive in the model directory, of which so many were available before."""
    loaded: Callable[[int], float] = lambda now: min(max(now - start, 0), minutes) * speed  # noqa: E731
    return {
        AVAILABLE: lambda now: before - loaded(now),
        'grid_directory_size_bytes{path="/ai"}': lambda now: 1000e9 - before + loaded(now),
    }


def rebooted(box: Series, start: int, minutes: int) -> dict[str, Value]:
    """The box is off for some minutes."""
    end = start + minutes
    began = {
        "process_start_time_seconds": since(end, end * 60, -4e5),
        "grid_boot_timestamp_seconds": since(end, end * 60 - 60, -5e5),
    }
    return off({**box, **began}, start, end)


def upgraded(checks: Sequence[int], accept: int) -> dict[str, Value]:
    """Each of these checks finds what was upgraded an hour before; it is accepted some minutes later."""

    def last(shift: int, otherwise: int) -> Callable[[int], float]:
        return lambda now: max((at for at in checks if at + shift <= now), default=otherwise) * 60.0

    return {
        "grid_aide_packages_timestamp_seconds": last(-60, -15000),
        "grid_aide_clean": lambda now: int(not any(at <= now < at + accept for at in checks)),
        "grid_aide_database_timestamp_seconds": last(accept, -15000),
        "grid_aide_accept_timestamp_seconds": lambda now: last(accept, -15000)(now) + accept * 60,
    }


def ordinary_week() -> dict[str, Value]:
    """Updates and upgrades each night, which are accepted, a download, a reboot and a training night."""
    box = healthy()
    box |= training(lambda now: now >= 6 * DAY + 22 * 60)
    box |= replaced(lambda now: now % DAY - 240)
    box |= upgraded([day * DAY + 7 * 60 for day in range(1, 7)], 120)
    box |= downloaded((24 + 20) * 60, 80, 1.875e9, 300e9)
    return rebooted(box, 3 * DAY + 600, 5)


def bypassed() -> dict[str, Value]:
    """Requests leave under the box's own address instead of through Tor."""
    return {
        "grid_tor_is_tor": lasting(0, 1),
        'grid_tor_exit_info{address="192.0.2.7"}': lambda now: 1 if START <= now < END else None,
    }


def clock_behind() -> dict[str, Value]:
    """All that the box reports of its own times is an hour late."""
    moved: dict[str, Value] = {
        name: lambda now: now * 60 - (3600 if START <= now < END else 0)
        for name in healthy()
        if name.startswith("grid_probe_last_success")
    }
    timer = 'grid_systemd_timer_next_trigger_timestamp_seconds{name="backup.timer"}'
    return moved | {
        "grid_boot_timestamp_seconds": lasting(-5e5 - 3600, -5e5),
        timer: lambda now: (now // 60 + 1) * 3600 - (3600 if START <= now < END else 0),
    }


def accepted_at_the_end() -> dict[str, Value]:
    """Somebody accepts what the last check found."""
    return {
        "grid_aide_database_timestamp_seconds": since(END, END * 60, -9e5),
        "grid_aide_accept_timestamp_seconds": since(END, END * 60, -8e5),
    }


def restarts(start: int, end: int, every: int) -> Callable[[int], int]:
    """A counter of restarts between two minutes."""
    return lambda now: max(min(now, end) - start, 0) // every


def problem(within: int, series: Series, *alerts: str, messages: tuple[str, ...]) -> Situation:
    """A problem of a box that is otherwise healthy."""
    return Situation({**healthy(), **series}, dict.fromkeys(alerts, 1), messages, within=within)


def critical(*alerts: str) -> tuple[str, ...]:
    """An urgent message as each of these begins, and a quiet one as it ends."""
    return tuple(f"{priority} {alert}" for alert in alerts for priority in ("urgent", "low"))


def warning(*alerts: str) -> tuple[str, ...]:
    """A message as each of these begins, and a quiet one as it ends."""
    return tuple(f"{priority} {alert}" for alert in alerts for priority in ("default", "low"))


WEEK = "an ordinary week"
ORDINARY = Situation(
    ordinary_week(),
    {
        "GridDirectoryGrew": 1,
        "GridHostRebooted": 1,
        "GridGpuMemoryFull": 2,
        "GridAideFindings": 1,
        "GridAideFindingsAgain": 5,
    },
    (
        *warning("GridAideFindings"),
        *("mail GridDirectoryGrew", "mail GridHostRebooted", "mail GridGpuMemoryFull"),
        *("mail GridAideFindingsAgain",) * 5,
    ),
    begins=0,
)

PROBLEMS = {
    "the box is dead": problem(
        10, off(healthy(), START, END), "GridExporterDown", messages=critical("GridExporterDown")
    ),
    # It gets worse, and each stage is a message.
    "a log fills the disk": problem(
        30,
        {AVAILABLE: lasting(lambda now: max(110e9 - (now - START) * 1e9, 0), 110e9)},
        *("GridDiskLow", "GridDiskFullSoon", "GridDiskFull"),
        messages=(*warning("GridDiskLow"), *critical("GridDiskFullSoon", "GridDiskFull")),
    ),
    "memory leaks": problem(
        10,
        {"grid_memory_available_bytes": lasting(2e9, 64e9)},
        *("GridMemoryNearlyOut", "GridMemoryLow"),
        messages=critical("GridMemoryNearlyOut"),
    ),
    "a card is off the bus": problem(
        10, {'grid_gpus{vendor="nvidia"}': lasting(1, 2)}, "GridGpuGone", messages=critical("GridGpuGone")
    ),
    "a card is hot": problem(
        20,
        {f"grid_gpu_temperature_celsius{{{CARDS[0]}}}": lasting(lambda now: 91 if now % 15 else 88, 60)},
        "GridGpuHot",
        messages=critical("GridGpuHot"),
    ),
    "a container crashes each six minutes": problem(
        45,
        {f"grid_container_restarts_total{{{VLLM}}}": restarts(START, END, 6)},
        "GridContainerRestarting",
        messages=warning("GridContainerRestarting"),
    ),
    "a container is down": problem(
        15,
        {
            f'grid_container_state{{{VLLM}, state="exited"}}': lasting(1, 0),
            f'grid_container_state{{{VLLM}, state="running"}}': lasting(0, 1),
        },
        "GridContainerDown",
        messages=warning("GridContainerDown"),
    ),
    "a service has failed": problem(
        10,
        {
            'grid_service_state{name="ssh.service", category="c", state="failed"}': lasting(1, 0),
            "grid_systemd_failed_units": lasting(1, 0),
        },
        "GridServiceFailed",
        messages=critical("GridServiceFailed"),
    ),
    "tor is bypassed": problem(40, bypassed(), "GridTorBypassed", messages=critical("GridTorBypassed")),
    "files change without an upgrade": problem(
        5,
        {"grid_aide_clean": lasting(0, 1), **accepted_at_the_end()},
        *("GridAideUnexplained", "GridAideFindings"),
        messages=critical("GridAideUnexplained"),
    ),
    # Nothing undoes it: the alert lasts two days.
    "somebody replaces the database of files": problem(
        15,
        {"grid_aide_database_timestamp_seconds": since(START, 5000, -9e5)},
        "GridAideDatabaseChanged",
        messages=("urgent GridAideDatabaseChanged",),
    ),
    "the clock is an hour behind": problem(
        20, clock_behind(), "GridClockSkew", messages=warning("GridClockSkew")
    ),
}


def failing(probe: str, since_start: str) -> dict[str, Value]:
    """A probe fails while the problem lasts, and one more of its series is 1."""
    return {
        f'grid_probe_success{{probe="{probe}"}}': lasting(0, 1),
        f'grid_probe_last_success_timestamp_seconds{{probe="{probe}"}}': lambda now: (
            (START if START <= now < END else now) * 60
        ),
        since_start: lasting(1, 0),
    }


def without_engine() -> dict[str, Value]:
    """The container engine does not answer, and nothing is known of containers."""
    gone = {name: value for name, value in off(healthy(), START, END).items() if "{container=" in name}
    return {**gone, "grid_container_engine_up": lasting(0, 1)}


# Causes of which several alerts follow: a message of the cause, and none of the rest, not even as it ends.
CAUSES = {
    "a hot card slows down": problem(
        10,
        {
            f"grid_gpu_temperature_celsius{{{CARDS[0]}}}": lasting(92, 60),
            f'grid_gpu_throttle_active{{{CARDS[0]}, reason="hw_thermal_slowdown"}}': lasting(1, 0),
        },
        *("GridGpuHot", "GridGpuThrottled"),
        messages=critical("GridGpuHot"),
    ),
    "a card that is off the bus stops its tool": problem(
        15,
        {
            **failing("gpu", 'grid_probe_failures{probe="gpu"}'),
            'grid_gpus{vendor="nvidia"}': lambda now: None if START <= now < END else 2,
        },
        *("GridGpuGone", "GridProbeFailing", "GridProbeStale"),
        messages=critical("GridGpuGone"),
    ),
    "a probe is stuck": problem(
        10,
        failing("disk:/ai", 'grid_probe_stuck{probe="disk:/ai"}'),
        *("GridProbeStuck", "GridProbeFailing", "GridProbeStale"),
        messages=warning("GridProbeStuck"),
    ),
    "memory is out and everything waits for it": problem(
        10,
        {
            "grid_memory_available_bytes": lasting(2e9, 64e9),
            "grid_swap_free_bytes": lasting(0, 4e9),
            'grid_pressure_stalled_seconds_total{resource="memory"}': lambda now: (
                max(min(now, END) - START, 0) * 30
            ),
        },
        *("GridMemoryNearlyOut", "GridMemoryLow", "GridMemoryPressure", "GridSwapFull"),
        messages=critical("GridMemoryNearlyOut"),
    ),
    "a small disk is filled and cleared": problem(
        60,
        {SIZE: 200e9, AVAILABLE: lasting(lambda now: 40e9 - (now - START) * 0.25e9, 150e9)},
        *("GridDiskFullSoon", "GridDiskLow"),
        messages=critical("GridDiskFullSoon"),
    ),
    "a service crashes five times and is given up": problem(
        10,
        {
            'grid_service_state{name="ssh.service", category="c", state="failed"}': lasting(1, 0),
            'grid_service_restarts_total{name="ssh.service", category="c"}': since(START, 5, 0),
            "grid_systemd_failed_units": lasting(1, 0),
        },
        "GridServiceFailed",
        messages=critical("GridServiceFailed"),
    ),
    "the container engine is down": problem(
        10, without_engine(), "GridContainerEngineDown", messages=critical("GridContainerEngineDown")
    ),
}


def nightly_update() -> dict[str, Value]:
    """Watchtower replaces vLLM, and a container of its own runs for a minute."""
    helper = 'container="zWqLxKpQ"'
    return {
        **replaced(lambda now: now - 60),
        f'grid_container_info{{{helper}, restart_policy="unless-stopped"}}': lambda now: (
            1 if now in (62, 63) else None
        ),
        f'grid_container_state{{{helper}, state="running"}}': {62: 1, 63: 0}.get,
        f'grid_container_state{{{helper}, state="exited"}}': {62: 0, 63: 1}.get,
    }


def removed() -> dict[str, Value]:
    """A container is stopped at minute 30 and removed two minutes later."""

    def until_then(series: str) -> Callable[[int], float | None]:
        state = int('state="running"' in series), int('state="exited"' in series)
        otherwise = healthy()[series]
        assert not callable(otherwise)
        changed = state if "grid_container_state" in series else (otherwise, otherwise)
        return lambda now: changed[0] if now < 30 else changed[1] if now < 32 else None

    return {series: until_then(series) for series in healthy() if VLLM in series}


def unlisted() -> dict[str, Value]:
    """Tor changes its exit each ten minutes; the check page does not know 15 %, three of them in a row."""
    exits: dict[str, Value] = {
        'grid_tor_exit_info{address="192.0.2.7"}': lambda now: None if now // 10 % 2 else 1,
        'grid_tor_exit_info{address="192.0.2.8"}': lambda now: 1 if now // 10 % 2 else None,
    }
    return {"grid_tor_is_tor": lambda now: int(now // 10 % 20 not in (7, 8, 9)), **exits}


def asleep() -> dict[str, Value]:
    """A box that is suspended from 23:00 to 7:00, seen from 20:00 on."""
    return off(healthy(), 3 * 60, 11 * 60)


def crashing() -> dict[str, Value]:
    """A container and a service crash each six minutes from 21:00 to 8:00."""
    counter = restarts(60, 12 * 60, 6)
    service = 'grid_service_restarts_total{name="ssh.service", category="c"}'
    return {f"grid_container_restarts_total{{{VLLM}}}": counter, service: counter}


# Short ones, looked at each minute for as long as a problem.
SITUATIONS = {
    "a reboot of four minutes, and a slow loader": Situation(
        {
            **rebooted(healthy(), 30, 4),
            f'grid_container_health{{{VLLM}, health="unhealthy"}}': lambda now: (
                None if 30 <= now < 34 else int(36 <= now < 44)
            ),
        },
        {"GridHostRebooted": 1},
        ("mail GridHostRebooted",),
    ),
    "a night of Watchtower": Situation({**healthy(), **nightly_update()}, {}, (), begins=NIGHT),
    "a container is stopped and removed": Situation({**healthy(), **removed()}, {}, ()),
    "a download that fits": Situation({**healthy(), **downloaded(60, 25, 1.6e9, 140e9)}, {}, ()),
}
# From one evening to the next, looked at each five minutes.
EVENINGS = {
    "a training night": Situation(
        {**healthy(), **training(lambda now: 120 <= now < 600)},
        {"GridGpuMemoryFull": 2},
        ("mail GridGpuMemoryFull",),
        begins=EVENING,
    ),
    "a laptop sleeps at night": Situation(
        {('up{presence="sometimes"}' if name == "up" else name): value for name, value in asleep().items()},
        {"GridExporterDown": 1},
        (),
        begins=EVENING,
    ),
    "a box that should be on sleeps at night": Situation(
        asleep(), {"GridExporterDown": 1}, critical("GridExporterDown"), begins=EVENING
    ),
    "a container and a service crash all night": Situation(
        {**healthy(), **crashing()},
        {"GridContainerRestarting": 1, "GridServiceRestarting": 1},
        warning("GridContainerRestarting", "GridServiceRestarting"),
        begins=EVENING,
    ),
    "Tor exits that the check page does not know": Situation(
        {**healthy(), **unlisted()}, {}, (), begins=EVENING
    ),
    "unattended upgrades, accepted in the morning": Situation(
        {**healthy(), **upgraded([540], 240)},
        {"GridAideFindings": 1},
        warning("GridAideFindings"),
        begins=EVENING,
    ),
    "a disk of 4 TB is steadily at 96 %": Situation(
        {**healthy(), AVAILABLE: 160e9, SIZE: 4000e9}, {}, (), begins=EVENING
    ),
    # It is low all the time: the second message is the next day's.
    "checkpoints at the edge of a full disk": Situation(
        {**healthy(), AVAILABLE: lambda now: 32e9 if now // 15 % 2 else 28e9},
        {"GridDiskLow": 1},
        ("default GridDiskLow", "default GridDiskLow"),
        begins=EVENING,
    ),
    "a card that is off the bus stays so": Situation(
        {**healthy(), 'grid_gpus{vendor="nvidia"}': since(30, 1, 2)},
        {"GridGpuGone": 1},
        ("urgent GridGpuGone", "urgent GridGpuGone"),
        begins=EVENING,
    ),
}

# Each group with the minutes at which it is looked at.
GROUPS = (
    ({WEEK: ORDINARY}, range(0, 7 * DAY + 480, 5)),
    ({**PROBLEMS, **CAUSES, **SITUATIONS}, range(301)),
    (EVENINGS, range(0, DAY + 121, 5)),
)
EVERYTHING = {name: situation for group, _ in GROUPS for name, situation in group.items()}


def fired(folder: Path, rules: Path = RULES) -> dict[str, list[Firing]]:
    """What fires in each situation. folder: where promtool's files are written."""

    def of(number: int) -> dict[str, list[Firing]]:
        group, minutes = GROUPS[number]
        boxes = {name: situation.box for name, situation in group.items()}
        return timelines(folder / f"days-{number}.yml", boxes, minutes, rules)

    with ThreadPoolExecutor() as pool:
        return {name: found for part in pool.map(of, range(len(GROUPS))) for name, found in part.items()}
