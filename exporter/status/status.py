"""How every probe fares, in words: what the start-up screen, the status page and doctor all say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from exporter import __version__
from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.engine.runner import Runner
from exporter.metrics.exposition import printable
from exporter.probe import Note

State = Literal["works", "noted", "fails", "stuck", "starting", "off"]
SIGNS: dict[State, str] = {
    "works": "✓",
    "noted": "!",
    "fails": "✗",
    "stuck": "✗",
    "starting": "…",
    "off": "-",
}
WORDS: dict[State, str] = {
    "works": "works",
    "noted": "works, but look",
    "fails": "can't find out",
    "stuck": "stuck",
    "starting": "first run under way",
    "off": "off",
}
BAD: frozenset[State] = frozenset({"fails", "stuck"})

# What a probe is told of that was changed in the configuration while its run hung.
LEFT_BEHIND = Note(
    "a process of the run before this configuration can't be killed; no new run until it is gone",
    "a dead mount or driver holds it (state D in `ps`)",
)


@dataclass(frozen=True, slots=True)
class Report:
    """One probe, or one kind of probe that is off: its state and what a person should know about it."""

    name: str
    state: State
    notes: tuple[Note, ...] = ()
    runner: Runner | None = None


def reports(exporter: Exporter) -> list[Report]:
    """A report on every probe, then on every kind that is off."""
    return [*(_of_runner(r) for r in exporter.cache.runners.values()), *_of_absent(exporter.plan)]


def _of_runner(runner: Runner) -> Report:
    name, last = runner.probe.name, runner.snapshot
    if last is None and runner.stuck:
        return Report(name, "stuck", (LEFT_BEHIND,), runner)
    if last is None:
        return Report(name, "starting", (), runner)
    if last.success:
        return Report(name, "noted" if last.notes else "works", last.notes, runner)
    reason = Note(last.reason, last.hint)
    return Report(name, "stuck" if runner.stuck else "fails", (reason, *last.notes), runner)


def _of_absent(plan: Plan) -> Iterator[Report]:
    for name, note in plan.absent.items():
        yield Report(name, "off", (note,))


def as_text(report: Report) -> Iterator[str]:
    """The report as lines for a terminal, with nothing in them that a terminal would obey."""
    yield f"  {SIGNS[report.state]} {printable(report.name):<24} {_summary(report)}".rstrip()
    for note in report.notes:
        yield f"      {printable(note.text)}"
        for number, line in enumerate(note.hint.splitlines()):
            yield f"      {' ' if number else '→'} {printable(line)}"


def _summary(report: Report) -> str:
    last = report.runner.snapshot if report.runner else None
    word = WORDS[report.state]
    return f"{word} ({last.duration:.2f}s)" if last else word


def welcome(exporter: Exporter, address: str) -> str:
    """The screen that greets whoever starts the exporter: what it found, what not, and where to look."""
    lines = [f"grid-exporter {__version__} serves {exporter.plan.source}:", ""]
    for report in reports(exporter):
        lines += as_text(report)
    lines += ["", f"  for Prometheus   {address}/metrics", f"  for you          {address}/", ""]
    return "\n".join(lines) + "\n"
