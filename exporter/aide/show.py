"""What a person reads before accepting: every finding, safe on any terminal, and the command with its ID."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from exporter.aide import aide_report, files
from exporter.aide.files import Paths
from exporter.aide.output import complain, say
from exporter.aide.state import Standing, standing
from exporter.aide.summary import START, Finding, Summary
from exporter.probe import ProbeError


def show(paths: Paths) -> int:
    """Prints what the last check found.

    Returns:
        The exit status: 0 for clean, 1 for findings, 2 where the check failed or there is none to show.
    """
    try:
        now = standing(paths)
    except (OSError, ValueError) as error:
        complain("nothing to show", error)
        return 2
    if now.summary is None:
        complain("nothing to show", ProbeError("no check has run yet", START))
        return 2
    say("\n".join(_printable(line) for line in lines(now, now.summary, _all(now.summary, paths))))
    if not now.summary.success:
        return 2
    return 0 if now.summary.clean else 1


def _all(summary: Summary, paths: Paths) -> Sequence[Finding]:
    """The summary's findings; where it lists but some, those of AIDE's own report, which root can read."""
    if not summary.unlisted:
        return summary.findings
    try:
        with files.plain(paths.report(summary.id)) as file:
            return aide_report.parse(file.read(), summary.exit_code or 0).findings
    except (OSError, ValueError):
        return summary.findings


def lines(now: Standing, summary: Summary, findings: Sequence[Finding]) -> Iterator[str]:
    """The lines of the review."""
    yield f"AIDE check of {_time(summary.started)}, {summary.ended - summary.started:.0f} s"
    if now.under_way:
        yield f"({'another check' if now.under_way == 'check' else 'an accept'} is under way)"
    if not summary.success:
        yield f"FAILED: {summary.reason}"
        yield from [f"  what helps: {summary.hint}"] if summary.hint else []
        return
    found = f"{summary.added} added, {summary.removed} removed, {summary.changed} changed"
    yield f"{found}; {summary.total} entries"
    for finding in findings:
        yield from _finding(finding)
    more = summary.added + summary.removed + summary.changed - len(findings)
    if more:
        yield f"... and {more} more, which only root can read: sudo grid-exporter aide show"
    for warning in summary.warnings:
        yield f"AIDE warned: {warning}"
    yield from _accepting(now, summary)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.change:8} {finding.kind} {finding.path}"
    for name, (before, after) in finding.attributes.items():
        sides = [side for side in (before, after) if side is not None]
        yield f"           {name}: {' -> '.join(sides)}"


def _accepting(now: Standing, summary: Summary) -> Iterator[str]:
    if summary.accepted is not None:
        yield f"Accepted on {_time(summary.accepted)}."
    elif not summary.clean:
        yield "To accept exactly this:"
        yield f"  sudo grid-exporter aide accept {summary.id}"
    if now.outcome and not now.outcome.success:
        yield f"The last attempt to accept, on {_time(now.outcome.timestamp)}, failed: {now.outcome.reason}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _printable(line: str) -> str:
    """The second fence: whatever the summary holds, no control character reaches the terminal."""
    return "".join(char if char.isprintable() else "?" for char in line)
