"""What a person reviews before accepting: every finding, safe on any terminal, and how to accept it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from os.path import lexists  # Path.exists raises where a folder above is closed
from pathlib import Path

from exporter.aide import aide_report, proof
from exporter.aide.files import Paths
from exporter.aide.output import print_error, print_line
from exporter.aide.state import State, load_state
from exporter.aide.summary import START, Finding, Summary
from exporter.probe import ProbeError
from exporter.system import files


def show(paths: Paths, key_file: Path = proof.KEY_FILE) -> int:
    """Prints what the last check found, and how to accept it; over HTTP, too, where there is a key for that.

    Returns:
        The exit status: 0 for clean, 1 for findings, 2 where the check failed or there is none to show.
    """
    try:
        state = load_state(paths)
    except (OSError, ValueError) as error:
        print_error("nothing to show", error)
        return 2
    if state.summary is None:
        print_error("nothing to show", ProbeError("no check has run yet", START))
        return 2
    review = [
        *lines(state, state.summary, _all(state.summary, paths)),
        *_accepting(state, state.summary, paths.summary if lexists(key_file) else None),
    ]
    print_line("\n".join(map(_printable, review)))
    if not state.summary.success:
        return 2
    return 0 if state.summary.clean else 1


def _all(summary: Summary, paths: Paths) -> Sequence[Finding]:
    """Every finding: where the summary lists but some, those of AIDE's own report, which root can read."""
    if not summary.unlisted:
        return summary.findings
    try:
        with files.open_regular(paths.report(summary.id)) as file:
            return aide_report.parse(file.read(), summary.exit_code or 0, paths.left_out).findings
    except (OSError, ValueError):
        return summary.findings


def lines(state: State, summary: Summary, findings: Sequence[Finding]) -> Iterator[str]:
    """The lines of the review, but for how to accept."""
    yield f"AIDE check of {_time(summary.started)}, {summary.ended - summary.started:.0f} s"
    if state.under_way:
        yield f"({'another check' if state.under_way == 'check' else 'an accept'} is under way)"
    if not summary.success:
        yield f"FAILED: {summary.reason}"
        yield from [f"  to fix it: {summary.hint}"] if summary.hint else []
        return
    counts = f"{summary.added} added, {summary.removed} removed, {summary.changed} changed"
    yield f"{counts}; {summary.total} entries"
    for finding in findings:
        yield from _finding(finding)
    more = summary.added + summary.removed + summary.changed - len(findings)
    if more:
        yield f"... and {more} more, which only root can read: sudo grid-exporter aide show"
    for warning in summary.warnings:
        yield f"warning: {warning}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.change:8} {finding.kind} {finding.path}"
    for name, (before, after) in finding.attributes.items():
        sides = [side for side in (before, after) if side is not None]
        yield f"           {name}: {' -> '.join(sides)}"


def _accepting(state: State, summary: Summary, signed: Path | None) -> Iterator[str]:
    """How to accept. signed: the summary file, where a proof over it is accepted over HTTP."""
    if not summary.success:
        return
    if summary.accepted is not None:
        yield f"Accepted on {_time(summary.accepted)}."
    elif not summary.clean:
        yield "To accept exactly this:"
        yield f"  sudo grid-exporter aide accept {summary.id}"
        if signed and not summary.unlisted:
            yield "Or over HTTP, without root, with the token and the key in $TOKEN and $KEY:"
            yield f"  {proof.command(summary.id, signed)}"
    if state.outcome and not state.outcome.success:
        when = _time(state.outcome.timestamp)
        yield f"The last attempt to accept, on {when}, failed: {state.outcome.reason}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _printable(line: str) -> str:
    """Whatever the summary holds, no control character reaches the terminal."""
    return "".join(char if char.isprintable() else "?" for char in line)
