"""The state between checks, as the exporter, the status page and `aide show` read it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from exporter.aide.files import Paths
from exporter.aide.lock import Command, alive, killed_accept, killed_check, load_running
from exporter.aide.summary import Outcome, Summary, load_outcome, load_summary


class State(Struct, frozen=True):
    """The last check, the last attempt to accept, and the running command; each None where there is none."""

    summary: Summary | None
    outcome: Outcome | None
    under_way: Command | None


def load_state(paths: Paths, proc: Path = Path("/proc")) -> State:
    """Reads it all; a command that was killed left no result, so one is put in for it.

    Raises:
        OSError: a file may not be read; its name is the error's.
        ValueError: a file is damaged; the text names it.
    """
    # In this order: a command writes its result before it removes its mark.
    running = load_running(paths)
    summary, outcome = load_summary(paths.summary), load_outcome(paths.outcome)
    if running is None:
        return State(summary, outcome, None)
    if alive(running, proc):
        return State(summary, outcome, running.command)
    if load_running(paths) != running:  # it has finished since the first line
        return load_state(paths, proc)
    if running.command == "check":
        return State(killed_check(running, summary), outcome, None)
    return State(summary, killed_accept(running, outcome), None)
