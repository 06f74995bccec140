"""Runs systemctl and parses its output: properties, and the timestamps, durations and counts in them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from exporter.probe import ProbeError
from exporter.system.subprocesses import run

Properties = Mapping[str, str]

TIMESTAMP = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", re.ASCII)
DURATION = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)(y|month|w|d|h|min|s|ms|us)")
# systemd's year has 365.25 days, its month is a twelfth of that.
SECONDS = dict(y=31557600, month=2629800, w=604800, d=86400, h=3600, min=60, s=1, ms=1e-3, us=1e-6)  # noqa: C408
LONGEST = len(SECONDS)  # a duration has each unit once
MOST_UNITS = 10_000
COUNT = re.compile(r"[0-9]{1,20}")
UNSET = 2**64 - 1  # what systemd keeps for a count it doesn't know; newer ones print [not set]


async def show(properties: Sequence[str], units: Sequence[str] = ()) -> str:
    """The output of one ``systemctl show``: every unit's properties, or systemd's own where no unit is named.

    Args:
        properties: what to ask for.
        units: names, and patterns of which systemctl finds the loaded units.

    Raises:
        ProbeError: systemctl is not there or failed.
    """
    # Without --all a pattern passes inactive units over. The times in UTC, for a zone's abbreviation is
    # ambiguous, and --timestamp=unix leaves a timer's as they are.
    argv = ("systemctl", "show", "--all", "-p", ",".join(properties), "--", *units)
    output = await run(*argv, env={"TZ": "UTC"})
    if output.code != 0:
        hint = (
            "run `systemctl show` as the exporter's user; in its unit, User= instead of DynamicUser=yes helps"
        )
        raise ProbeError(f"systemctl show: {output.error_message}", hint)
    return output.text


async def show_both(
    manager_properties: Sequence[str], unit_properties: Sequence[str], units: Sequence[str]
) -> tuple[str, str]:
    """What ``show`` gives for systemd itself, and for units.

    Raises:
        ProbeError: as ``show``.
    """
    running = [
        asyncio.create_task(show(manager_properties)),
        asyncio.create_task(show(unit_properties, units)),
    ]
    try:
        manager, shown = [await task for task in running]
    finally:  # no process outlives the run, whichever fails
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    return manager, shown


def parse_show(text: str) -> Sequence[Properties]:
    """The properties that ``systemctl show`` prints, a mapping for each of its blocks.

    Raises:
        ProbeError: a line is no property, the last one is cut off, or there are more than any host has.
    """
    if text and not text.endswith("\n"):
        raise ProbeError("the output of systemctl show is cut off")
    blocks: list[dict[str, str]] = [{}]
    for line in text.split("\n"):
        if line:
            name, value = _property(line)
            blocks[-1][name] = value
        elif blocks[-1]:
            blocks.append({})
            if len(blocks) > MOST_UNITS:
                raise ProbeError(f"systemctl show printed more than {MOST_UNITS} units")
    return [block for block in blocks if block]


def _property(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise ProbeError(f"systemctl show printed a line that is no property: {line[:100]!r}")
    return name, value


def names(unit: Properties) -> set[str]:
    r"""All names of a unit, aliases included. One with a backslash comes quoted: ``"a\\x2db.service"``."""
    words = unit.get("Names", "").split()
    return {word[1:-1].replace("\\\\", "\\") if word.startswith('"') else word for word in words}


def timestamp(text: str | None) -> float | None:
    """A time in UTC (``Mon 2026-11-23 01:18:33 UTC``) as Unix time; None if unset."""
    match = TIMESTAMP.fullmatch(text or "")
    try:
        return datetime.fromisoformat(f"{match[1]}+00:00").timestamp() if match else None
    except ValueError:
        return None


def duration(text: str | None) -> float | None:
    """A duration (``1h 24min 55.073746s``) in seconds; None if unset (``0``, ``infinity``)."""
    parts = [DURATION.fullmatch(word) for word in (text or "").split(maxsplit=LONGEST)]
    seconds = [float(part[1]) * SECONDS[part[2]] for part in parts if part]
    return sum(seconds) if seconds and None not in parts else None


def count(text: str | None, *, most: int = UNSET - 1) -> int | None:
    """A count of at most ``most``; None if unset."""
    value = int(text) if text and COUNT.fullmatch(text) else UNSET
    return value if value <= most else None
