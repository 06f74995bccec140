"""The fake systemctl: ``show`` of systemd itself and of the units in BOX/systemd (units.py puts them there).

A unit's file holds its properties as systemctl prints them, and how those move: ``X-Rate`` (processor
seconds a second), ``X-Memory`` (bytes at most), ``X-Since`` (Unix time) and a timer's ``X-Every`` (seconds).
"""

from __future__ import annotations

import time

from tests.box.quick import names, read
from tests.box.waves import now, total, wave

Unit = dict[str, str]
UNKNOWN = {"LoadState": "not-found", "ActiveState": "inactive"}


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """The exit status, output and errors."""
    wanted = arguments[arguments.index("-p") + 1].split(",")
    asked = arguments[arguments.index("--") + 1 :]
    known = names(f"{box}/systemd")
    if not asked:
        return 0, _block(_manager([_unit(box, name) for name in known]), wanted), ""
    moment = now(box)
    found = [_living(_unit(box, name), moment) for pattern in asked for name in _matching(pattern, known)]
    return 0, "\n".join(_block(unit, wanted) for unit in found), ""


def _matching(pattern: str, known: list[str]) -> list[str]:
    """The units of a name, or of a pattern with one asterisk."""
    before, star, after = pattern.partition("*")
    if not star:
        return [pattern]
    return [name for name in known if name.startswith(before) and name.endswith(after)]


def _unit(box: str, name: str) -> Unit:
    try:
        lines = read(f"{box}/systemd/{name}").splitlines()
    except FileNotFoundError:
        return {"Id": name, "Names": name, **UNKNOWN}
    return dict(line.split("=", 1) for line in lines)


def _manager(units: list[Unit]) -> Unit:
    failed = sum(unit["ActiveState"] == "failed" for unit in units)
    return {"NFailedUnits": str(failed), "SystemState": "degraded" if failed else "running"}


def _living(unit: Unit, moment: float) -> Unit:
    """The unit as it is now."""
    since = float(unit.get("X-Since", 0))
    if unit["ActiveState"] == "active" and "X-Rate" in unit:
        memory = float(unit["X-Memory"])
        unit["MemoryCurrent"] = f"{wave(unit['Id'], moment, 0.8 * memory, memory):.0f}"
        unit["CPUUsageNSec"] = f"{total(unit['Id'], since, moment, float(unit['X-Rate'])) * 1e9:.0f}"
    if "X-Every" in unit:
        every = float(unit["X-Every"])
        last = since + every * ((moment - since) // every)
        unit["LastTriggerUSec"] = moment_text(last)
        unit["NextElapseUSecRealtime"] = moment_text(last + every)
    return unit


def moment_text(moment: float) -> str:
    """A moment as systemctl prints it."""
    return time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


def _block(unit: Unit, wanted: list[str]) -> str:
    """The wanted properties; what a unit doesn't have is printed empty."""
    return "".join(f"{name}={unit.get(name, '')}\n" for name in wanted)
