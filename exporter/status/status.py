"""Every probe's state and what to do about it: for the start-up screen, the status page and doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from exporter import __version__
from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.engine.runner import Runner
from exporter.metrics.exposition import printable
from exporter.probe import Note

State = Literal["ok", "warning", "failing", "stuck", "starting", "off"]
SIGNS: dict[State, str] = {
    "ok": "✓",
    "warning": "!",
    "failing": "✗",
    "stuck": "✗",
    "starting": "…",
    "off": "-",
}
LABELS: dict[State, str] = {
    "ok": "OK",
    "warning": "warning",
    "failing": "failing",
    "stuck": "stuck",
    "starting": "first run in progress",
    "off": "off",
}
BAD: frozenset[State] = frozenset({"failing", "stuck"})

# Shown for a probe whose configuration was changed while its run hung.
LEFT_BEHIND = Note(
    "a process of the run before this configuration can't be killed; no new run until it is gone",
    "a dead mount or driver holds it (state D in `ps`)",
)


class Status(Struct, frozen=True):
    """One probe, or one kind of probe that is off: its state and what a person should know about it."""

    name: str
    state: State
    notes: tuple[Note, ...] = ()
    runner: Runner | None = None


def statuses(exporter: Exporter) -> list[Status]:
    """The status of every probe, then of every kind that is off."""
    return [*(_of_runner(r) for r in exporter.cache.runners.values()), *_of_absent(exporter.plan)]


def _of_runner(runner: Runner) -> Status:
    name, last = runner.probe.name, runner.snapshot
    if last is None and runner.stuck:
        return Status(name, "stuck", (LEFT_BEHIND,), runner)
    if last is None:
        return Status(name, "starting", (), runner)
    if last.success:
        return Status(name, "warning" if last.notes else "ok", last.notes, runner)
    reason = Note(last.reason, last.hint)
    return Status(name, "stuck" if runner.stuck else "failing", (reason, *last.notes), runner)


def _of_absent(plan: Plan) -> Iterator[Status]:
    for name, note in plan.absent.items():
        yield Status(name, "off", (note,))


def as_text(status: Status) -> Iterator[str]:
    """The status as lines for a terminal, without control characters."""
    yield f"  {SIGNS[status.state]} {printable(status.name):<24} {_summary(status)}".rstrip()
    for note in status.notes:
        yield f"      {printable(note.text)}"
        for number, line in enumerate(note.hint.splitlines()):
            yield f"      {' ' if number else '→'} {printable(line)}"


def _summary(status: Status) -> str:
    last = status.runner.snapshot if status.runner else None
    label = LABELS[status.state]
    return f"{label} ({last.duration:.2f}s)" if last else label


def welcome(exporter: Exporter, address: str) -> str:
    """The start-up screen: every probe's status, and the addresses to open."""
    lines = [f"grid-exporter {__version__} serves {exporter.plan.source}:", ""]
    for status in statuses(exporter):
        lines += as_text(status)
    lines += ["", f"  for Prometheus   {address}/metrics", f"  for you          {address}/", ""]
    return "\n".join(lines) + "\n"
