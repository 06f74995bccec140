"""Reads AIDE's results: its JSON report, and its warnings on standard error.

AIDE's report alone is not enough: for a damaged database it lists every file as new, and a part that it could
not read as removed, both without an error. A report that contradicts itself is refused.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from msgspec import Struct

from exporter.aide.summary import Change, Finding

PATH_LIMIT = 4096
VALUE_LIMIT = 128

# Strongest first: one digest is enough to tell that a file's content changed.
DIGESTS = (
    "sha512", "sha256", "sha512_256", "sha3_512", "sha3_256", "stribog512", "stribog256", "whirlpool",
    "gost", "haval", "tiger", "rmd160", "sha1", "md5", "crc32", "crc32b",
)  # fmt: skip

# A control character, as AIDE writes it. Debian's 0.18.3 writes its number in decimal where JSON wants hex:
# ESC would be read as an apostrophe, and two names as one. So the escape itself is shown, after a mark that
# no name has (a lone surrogate), which comes out as a single backslash.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_MARK = "\udc00"

# AIDE's wording of warnings changes from version to version. What they are judged by is the system's error at
# their end, and otherwise a few words outside of names. These errors mean that a file was removed or replaced
# while AIDE read it, which happens on any box that works.
_ERRORS = {os.strerror(number): number for number in errno.errorcode}  # as AIDE prints them under LC_ALL=C
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESRCH, errno.ENODATA)
_VANISHED_ACL = "tried to read default ACL on "  # of AIDE 0.18.3, which gets EINVAL for a file that is gone
# A file that was written to while AIDE read it, or has no digest of the configured kind, was not compared:
# the report lists it, and `parse` makes it a finding.
_NOT_COMPARED = ("changed", "growing", "truncated", "mismatches", "cannot compare hashsums")
_DEAD_LINK = "Dead symlink detected at "
_DATABASES = ("file:", "stdin:", "fd:")


class Report(Struct, frozen=True):
    """AIDE's report. total: the number of entries in the new database."""

    total: int
    findings: Sequence[Finding]

    def count(self, change: Change) -> int:
        """How many findings of this kind there are."""
        return sum(finding.change == change for finding in self.findings)


def visible(text: str) -> str:
    r"""Makes text safe for a terminal and a page; two different texts stay different.

    Bytes that are not UTF-8 are shown as ``\xff``, invisible characters as ``\u202e``, a backslash as ``\\``.
    What is longer than a path can be is truncated.
    """
    shown = "".join(_visible(char) for char in text[:PATH_LIMIT])
    return shown if len(text) <= PATH_LIMIT else shown + "…"


def _visible(char: str) -> str:
    if char == _MARK:
        return "\\"
    if char == "\\":
        return "\\\\"
    if "\udc80" <= char <= "\udcff":  # surrogateescape's stand-in for a raw byte
        return f"\\x{ord(char) & 0xFF:02x}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"


def judge(stderr: str) -> tuple[str, Sequence[str]]:
    """Judges AIDE's messages on standard error.

    Returns:
        The first message that makes the check a failed one (empty if none does), and the other warnings, for
        a person.
    """
    warnings: list[str] = []
    for line in filter(None, (line.strip() for line in stderr.split("\n"))):
        level, _, message = line.partition(": ")
        if level == "NOTICE" or (level == "WARNING" and _of_vanished(message)):
            continue
        if level != "WARNING" or not _is_tolerable(message):
            return visible(message or line), warnings
        warnings.append(visible(message))
    return "", warnings


def _of_vanished(message: str) -> bool:
    """Whether it is about a file that was removed or replaced meanwhile."""
    error = _error(message)
    return error in _VANISHED or (error == errno.EINVAL and message.startswith(_VANISHED_ACL))


def _is_tolerable(message: str) -> bool:
    """Whether the check is sound in spite of this warning: nothing failed to be read."""
    if _error(message) is not None:
        return False
    if _is_about_configuration(message) or message.startswith(_DEAD_LINK):
        return True
    message = message.replace("'growing'", "growing")
    own_words = message.partition("'")[0], message.rpartition("'")[2]
    return any(word in own for own in own_words for word in _NOT_COMPARED)


def _error(message: str) -> int | None:
    """The number of the system's error with which a message ends, before AIDE's remark in parentheses.

    AIDE's own words always end the message, and it escapes control characters: no name can reach either.
    """
    if message.endswith(")"):
        message = message.rpartition(" (")[0]
    return _ERRORS.get(message.rpartition(":")[2].strip())


def _is_about_configuration(message: str) -> bool:
    """Whether it begins with a place in the configuration: ``aide.conf:5: …``. A database has a URL there."""
    where, _, line = message.partition(": ")[0].rpartition(":")
    is_place = where != "" and line.isdecimal() and not {" ", "'"} & set(where)
    return is_place and not where.startswith(_DATABASES)


def parse(data: bytes, exit_code: int, left_out: Sequence[str] = ()) -> Report:
    """Reads AIDE's JSON report (report_level added_removed_attributes or above, grouped and summarized).

    A file whose checked attributes changed (its digest could not be calculated this time) is listed by AIDE,
    but neither counted nor part of its exit status. It was not compared, so here it counts as changed.

    Args:
        data: the report.
        exit_code: AIDE's exit status, which must agree with the report.
        left_out: directories that the check leaves out. Where the database has them all the same, AIDE 0.19
            reports them as removed; AIDE 0.18 does not, and neither does this.

    Raises:
        ValueError: it is empty, cut off, or contradicts itself or the exit status.
    """
    top = _names(_decode(data))
    numbers = _names(top.get("number_of_entries"))
    details = _Details(top.get("details", _Pairs()))
    findings: list[Finding] = []
    for bit, change in enumerate(get_args(Change)):
        listed = _pairs(top.get(change, _Pairs()))
        if len(listed) != numbers.get(change, 0):
            raise ValueError(
                f"AIDE's report counts {numbers.get(change, 0)} {change}, and lists {len(listed)}"
            )
        if bool(listed) != bool(exit_code & 1 << bit):
            raise ValueError(
                f"AIDE's report lists {len(listed)} {change}, and its exit status is {exit_code}"
            )
        findings += [
            _finding(change, path, flags, details)
            for path, flags in listed
            if change != "removed" or not _is_within(path, left_out)
        ]
    findings += _uncompared(top, {finding.path for finding in findings})
    return Report(_number(numbers.get("total")), findings)


def _is_within(path: str, directories: Iterable[str]) -> bool:
    return any(f"{path}/".startswith(f"{directory}/") for directory in directories)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: two equal keys stay two."""


def _decode(data: bytes) -> Any:
    if not data.strip():
        raise ValueError("AIDE left an empty report")
    text = _ESCAPE.sub(_marked, data.decode("utf-8", "surrogateescape"))
    try:
        return json.loads(text, object_pairs_hook=_Pairs, strict=False)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"AIDE's report is not whole: {error}") from error


def _marked(escape: re.Match[str]) -> str:
    """The escape itself; that of a control character with the mark in front."""
    return rf"\udc00u{escape[1]}" if escape[1] else escape[0]


def _pairs(value: Any) -> _Pairs:
    if not isinstance(value, _Pairs):
        raise ValueError("AIDE's report has an unknown form")  # noqa: TRY004 - the data is wrong, not the call
    return value


def _names(value: Any) -> dict[str, Any]:
    """An object whose keys must be unique: under an AIDE that quotes badly a file's name could add one."""
    pairs = _pairs(value)
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("AIDE's report has one key twice")
    return names


def _number(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("AIDE's report has no number of entries")
    return value


class _Details:
    """The differences of each changed file; none where two files have equal names."""

    def __init__(self, details: Any) -> None:
        self._of: dict[str, Any] = {}
        for path, attributes in _pairs(details):
            self._of[path] = _Pairs() if path in self._of else attributes

    def of(self, path: str) -> dict[str, tuple[str | None, str | None]]:
        sides = {name: dict(_pairs(side)) for name, side in _pairs(self._of.get(path, _Pairs()))}
        digest = next((name for name in DIGESTS if name in sides), None)
        shown = (name for name in sides if name == digest or name not in DIGESTS)
        return {visible(name): (_value(sides[name], "old"), _value(sides[name], "new")) for name in shown}


def _value(sides: dict[str, Any], side: str) -> str | None:
    value = sides.get(side)
    if value is None:
        return None
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return visible(text[:VALUE_LIMIT]) + ("…" if len(text) > VALUE_LIMIT else "")


def _finding(change: Change, path: str, flags: Any, details: _Details) -> Finding:
    """The file's type is the first of AIDE's letters for what changed."""
    kind = visible(str(flags)[:1]) or "?"
    return Finding(change, visible(path), kind, details.of(path))


def _uncompared(top: dict[str, Any], known: Iterable[str]) -> list[Finding]:
    """The files of which AIDE checked other attributes than the database has, and reported nothing else."""
    differing = _pairs(top.get("different_attributes", _Pairs()))
    found = [(visible(path), _value({"new": change}, "new")) for path, change in differing]
    return [
        Finding("changed", path, attributes={"attributes": (None, of)})
        for path, of in found
        if path not in known
    ]
