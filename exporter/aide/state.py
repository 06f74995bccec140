"""How things stand between the checks: what the exporter, the page and `aide show` know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporter.aide.files import Paths
from exporter.aide.lock import Command, alive, killed_accept, killed_check, load_running
from exporter.aide.summary import Outcome, Summary, load_outcome, load_summary


@dataclass(frozen=True, slots=True)
class Standing:
    """The last check, the last attempt to accept, and the command at work; each None where there is none."""

    summary: Summary | None
    outcome: Outcome | None
    under_way: Command | None


def standing(paths: Paths, proc: Path = Path("/proc")) -> Standing:
    """Reads it all; a command that was killed left no word of its own, so one is put in for it.

    Raises:
        OSError: a file may not be read; its name is the error's.
        ValueError: a file is damaged; the text says which.
    """
    # In this order: a command that ends meanwhile has written its word before it takes its mark away.
    running = load_running(paths)
    summary, outcome = load_summary(paths.summary), load_outcome(paths.outcome)
    if running is None:
        return Standing(summary, outcome, None)
    if alive(running, proc):
        return Standing(summary, outcome, running.command)
    if load_running(paths) != running:  # it ended between the two looks
        return standing(paths, proc)
    if running.command == "check":
        return Standing(killed_check(running, summary), outcome, None)
    return Standing(summary, killed_accept(running, outcome), None)
