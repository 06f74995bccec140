"""The fake nvidia-smi: cards that are busy in bursts, warm up, and fail (BOX/gpu/faults).

BOX/gpu is a session of the tool (nvidia_smi.py); the cells that move are worked out anew each time.
"""

from __future__ import annotations

from tests.box import nvidia_smi
from tests.box.nvidia_smi import Row
from tests.box.quick import read
from tests.box.waves import now, wave

BURST = 420  # seconds from one burst of work to the next
WARMING = (0, 20, 40, 60)  # seconds ago; a chip is as warm as the load of the last minute made it
OWN = 512  # MiB that a card's context takes beside its processes
ALL_BUSY = 0.97
THROTTLED = ("hot", "throttled")  # faults of a card that is busy, and as slow as this
PACE = 0.35
LOST = "Unable to determine the device handle for GPU{index}: {bus}: Unknown Error\n"


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """The exit status, output and errors."""
    session = f"{box}/gpu"
    moment = now(box)
    faults = _faults(session)
    _, cards = nvidia_smi.table(session, "query-gpu")
    lost = {card["uuid"]: card for card in cards if faults.get(card["index"]) == "gone"}

    def living(table: str, rows: list[Row]) -> list[Row]:
        if table == "query-compute-apps":
            return [row for row in _processes(box, moment) if row["gpu_uuid"] not in lost]
        used = _used(box, moment)
        there = (row for row in rows if row["uuid"] not in lost)
        return [_card(row, moment, used.get(row["uuid"], 0), faults.get(row["index"], "")) for row in there]

    code, out = nvidia_smi.answer(session, arguments, living)
    if not lost or not arguments[0].startswith("--query-gpu"):
        return code, out, ""
    errors = "".join(LOST.format(index=card["index"], bus=card["pci.bus_id"]) for card in lost.values())
    return code or 15, errors + out, ""


def _faults(session: str) -> dict[str, str]:
    """What is wrong with a card, by its index."""
    return dict(line.split(" ", 1) for line in nvidia_smi.read(session, "faults").splitlines())


def _busy(card: str, moment: float) -> float:
    """How busy a card is, 0 to 1: bursts, with little between them."""
    swing = wave(card, moment, -1.5, 2.5, BURST)
    return min(ALL_BUSY, max(0.03, swing))


def _processes(box: str, moment: float) -> list[Row]:
    """The processes, whose caches grow and shrink by a tenth; of Ollama one for each loaded model."""
    session = f"{box}/gpu"
    found: list[Row] = []
    for row in nvidia_smi.table(session, "query-compute-apps")[1]:
        runners = _runners(session) if row["process_name"].endswith("/ollama") else None
        if runners is not None:
            found += [row | {"pid": pid, "used_gpu_memory": used} for pid, used in runners]
        else:
            most = int(row["used_gpu_memory"])
            used = round(wave(row["pid"], moment, 0.9 * most, most))
            found.append(row | {"used_gpu_memory": str(used)})
    return [row for row in found if _is_running(box, row["pid"])]


def _is_running(box: str, pid: str) -> bool:
    """Whether the container of a process runs; a box made without it has its processes all the same."""
    group = read(f"{box}/proc/{pid}/cgroup")
    identity = group.partition("docker-")[2].partition(".")[0]
    try:
        return not identity or '"Pid": 0' not in read(f"{box}/docker/containers/{identity}")
    except FileNotFoundError:
        return True


def _runners(session: str) -> list[list[str]] | None:
    """The processes of the box's Ollama, and the MiB that each uses; None where none is served."""
    try:
        return [line.split() for line in nvidia_smi.read(session, "ollama").splitlines()]
    except FileNotFoundError:
        return None


def _used(box: str, moment: float) -> dict[str, int]:
    """What the processes of each card use together, MiB."""
    used: dict[str, int] = {}
    for row in _processes(box, moment):
        used[row["gpu_uuid"]] = used.get(row["gpu_uuid"], 0) + int(row["used_gpu_memory"])
    return used


def _card(row: Row, moment: float, used: int, fault: str) -> Row:
    """A card as it is now."""
    throttled = fault in THROTTLED
    busy = ALL_BUSY if throttled else _busy(row["uuid"], moment)
    pace = PACE if throttled else busy
    warm = sum(_busy(row["uuid"], moment - ago) for ago in WARMING) / len(WARMING)
    limit, total = float(row["enforced.power.limit"]), int(row["memory.total"])
    used = min(used + OWN, total - int(row["memory.reserved"]))
    power = limit * (0.08 + 0.9 * pace)
    clock = float(row["clocks.max.graphics"]) * (0.3 + 0.6 * pace)
    row |= {
        "utilization.gpu": f"{100 * busy:.0f}",
        "utilization.memory": f"{55 * pace:.0f}",
        **_memory(row, used),
        "temperature.gpu": f"{34 + 38 * warm:.0f}",
        **_where_reported(row, "temperature.memory", f"{42 + 40 * warm:.0f}"),
        **_where_reported(row, "fan.speed", f"{30 + 40 * warm:.0f}"),
        **dict.fromkeys(("power.draw", "power.draw.average", "power.draw.instant"), f"{power:.2f}"),
        **{f"clocks.current.{name}": f"{clock:.0f}" for name in ("graphics", "sm", "video")},
        "pstate": "P0" if busy > 0.2 else "P8",
        "clocks_event_reasons.gpu_idle": "Not Active" if busy > 0.05 else "Active",
        "clocks_event_reasons.sw_power_cap": "Active" if busy >= ALL_BUSY else "Not Active",
    }
    return row | _faulty(row, fault)


def _memory(row: Row, used: int) -> Row:
    free = int(row["memory.total"]) - int(row["memory.reserved"]) - used
    return {"memory.used": str(used), "memory.free": str(free)}


def _where_reported(row: Row, field: str, value: str) -> Row:
    """Only what such a card reports at all."""
    return {field: value} if row[field].isdecimal() else {}


def _faulty(row: Row, fault: str) -> Row:
    """The cells that a fault changes."""
    reasons = ("hw_slowdown", "hw_thermal_slowdown")
    thermal = {
        **{f"clocks_event_reasons.{name}": "Active" for name in reasons},
        **{f"clocks_event_reasons.{name}": "Not Active" for name in ("gpu_idle", "sw_power_cap")},
    }
    most = int(row["memory.total"]) - int(row["memory.reserved"])
    changes: dict[str, Row] = {
        "hot": {
            **thermal,
            "temperature.gpu": "93",
            **_where_reported(row, "temperature.memory", "108"),
        },
        "throttled": {
            **thermal,
            **_where_reported(row, "temperature.memory", "99"),
            "temperature.gpu": "88",
        },
        "full": _memory(row, most),
        "ecc": {f"ecc.errors.uncorrected.{period}.total": "2" for period in ("volatile", "aggregate")},
    }
    return changes.get(fault, {})
