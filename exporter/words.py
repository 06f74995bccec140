"""Numbers as a person says them: lengths of time, sizes, counts, shares."""

from __future__ import annotations

from math import floor, log10

_TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_DIGITS = 3


def span(seconds: float) -> str:
    """A length of time: ``40 ms``, ``1.5 s``, ``12 s``, ``3 min``, ``5 h``, ``2 days``."""
    for size, unit in _TIMES:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if seconds < 0.9995:  # noqa: PLR2004 - what would read as 1000 ms
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    return f"{_short(seconds, 2)} s"


def size(count: float) -> str:
    """A number of bytes, in powers of 1000: ``512 B``, ``7.42 GB``, ``120 GB``."""
    for unit in _SIZES:
        if round(count) < 1000 or unit == _SIZES[-1]:  # noqa: PLR2004 - the next unit's size
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{_short(count)} {unit}"


def many(count: float, thing: str, things: str = "") -> str:
    """So many of a thing: ``1 card``, ``3 cards``."""
    return f"{count:.0f} {thing if count == 1 else things or f'{thing}s'}"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent."""
    return f"{100 * part / whole:.0f} %"


def _short(value: float, digits: int = _DIGITS) -> str:
    """The value with so many digits, fewer where they are all before the point anyway."""
    if value <= 0:
        return f"{value:.0f}"
    return f"{value:.{max(0, digits - 1 - floor(log10(value)))}f}"
