"""Runs probes once, for a person: `grid-exporter probe NAME` and `grid-exporter doctor`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.metrics.exposition import join, printable
from exporter.scanner.scan import user
from exporter.status.status import BAD, Status, as_text, statuses
from exporter.system.secrets import masked
from exporter.system.subprocesses import Output, trace


async def doctor(plan: Plan) -> int:
    """Prints for each probe whether it works for the current user, and how to fix it.

    Returns 0 when all work, 1 when one fails.
    """
    exporter = Exporter(plan)
    _print([f"As user {user()}, with {plan.source}:", ""])
    exporter.start_runs()
    for runner in exporter.cache.runners.values():
        await runner.finished()
        # At once: a scan that still runs may take minutes.
        _print(_lines(status for status in statuses(exporter) if status.runner is runner))
    final = statuses(exporter)
    _print(_lines(status for status in final if status.runner is None))
    await exporter.cache.stop()
    return 1 if any(status.state in BAD for status in final) else 0


async def probe(plan: Plan, name: str) -> int:
    """Runs the named probes, or all of a kind, once: prints their metrics, what ran, and why they failed.

    Returns 0 when they succeeded, 1 when one failed, 2 when there is none of that name.
    """
    exporter = Exporter(plan)
    try:
        runners = exporter.cache.select([name])
    except KeyError:
        sys.stderr.write(f"there is no probe {printable(name)!r} here: {_choice(exporter, plan, name)}\n")
        return 2
    ran: list[Output] = []
    trace.set(ran)
    for runner in runners:
        runner.start_if_due(runner.clock())
    for runner in runners:
        await runner.finished()
    now = exporter.cache.clock()
    sys.stdout.write(join(runner.families(now) for runner in runners).decode())
    sys.stdout.flush()
    asked = [status for status in statuses(exporter) if status.runner in runners]
    sys.stderr.write("\n".join([*_commands(ran), *_lines(asked)]) + "\n")
    await exporter.cache.stop()
    return 1 if any(status.state in BAD for status in asked) else 0


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _choice(exporter: Exporter, plan: Plan, name: str) -> str:
    if name in plan.absent:
        note = plan.absent[name]
        return f"{note.text}{f' ({note.hint})' if note.hint else ''}"
    return f"there is {', '.join(printable(known) for known in exporter.cache.runners)}"


def _commands(ran: list[Output]) -> Iterator[str]:
    for output in ran:
        command = printable(shlex.join(masked(output.argv)))[:200]
        yield f"  ran {command}: exit {output.code}, {output.seconds:.2f}s"
        if output.code != 0 and output.stderr:
            yield f"      {printable(output.error_message)}"


def _lines(listed: Iterable[Status]) -> Iterator[str]:
    for status in listed:
        yield from as_text(status)
