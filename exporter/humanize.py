"""Numbers for people: durations, sizes, counts, percentages."""

from __future__ import annotations

_TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(seconds: float) -> str:
    """A duration: ``40 ms``, ``1.5 s``, ``12 s``, ``3 min``, ``5 h``, ``2 days``."""
    for size, unit in _TIMES:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if seconds < 0.9995:  # noqa: PLR2004 - what would read as 1000 ms
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits


def size(count: float) -> str:
    """A number of bytes with three digits, in powers of 1000: ``512 B``, ``7.42 GB``, ``120 GB``."""
    for unit in _SIZES:
        if count < 999.5 or unit == _SIZES[-1]:  # noqa: PLR2004 - what would read as 1000
            break
        count /= 1000
    places = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2  # noqa: PLR2004
    return f"{count:.{places}f} {unit}"


def pluralize(count: float, thing: str, things: str = "") -> str:
    """So many of a thing: ``1 card``, ``3 cards``."""
    return f"{count:.0f} {thing if count == 1 else things or f'{thing}s'}"


def percent(part: float, whole: float) -> str:
    """A part of a whole in percent."""
    return f"{100 * part / whole:.0f}%"
