"""The user's own commands: what they print in Prometheus's text format joins the exporter's metrics."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile

from prometheus_client.core import Metric

from exporter.metrics.exposition import Names
from exporter.probe import Duration, Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.commands.summary import summarize
from exporter.probes.commands.textformat import Family, parse
from exporter.system.subprocesses import run
from exporter.system.threads import run_in_thread_if_large

OUTPUT_LIMIT = 1024 * 1024
SLOWER = 16  # times as long as other text takes to read: a thread from 4 KB on
NAMED = 5  # refused families that a note names
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
HELP = "Printed by a configured command, cached."
# The exporter's own families whose names a command may print, too.
OWN = {
    "process_virtual_memory_bytes": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
}


class Command(Schedule, frozen=True, kw_only=True):
    """A program that prints metrics.

    name: the ``command`` label of all its series. argv: the program and its arguments, which no shell reads.
    """

    name: str
    argv: tuple[str, ...]
    ttl: Duration = Duration(30)
    wait: Duration = Duration(0)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        """Refuses what can't be run or told apart."""
        super().__post_init__()
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"name must be made of letters, digits, _ and -, a letter first, got {self.name!r}"
            )
        if not self.argv or not self.argv[0].startswith("/"):
            raise ValueError(f"argv must begin with a program's full path, got {list(self.argv)}")


def metrics(families: Sequence[Family], command: str) -> list[Metric]:
    """The families as the exporter renders them, each sample labelled with the command's name."""
    converted = []
    for family in families:
        type_ = _type(family)
        # Rendering gives a counter its _total back.
        name = family.name.removesuffix("_total") if type_ == "counter" else family.name
        metric = Metric(name, family.help or HELP, type_)
        for (sample, labels), value in family.samples.items():
            metric.add_sample(sample, {**dict(labels), "command": command}, value)
        converted.append(metric)
    return converted


def _type(family: Family) -> str:
    return "gauge" if family.type == "info" else family.type or "untyped"


def claim(command: str, families: Iterable[Family], claims: dict[str, Mapping[str, str]]) -> dict[str, str]:
    """Takes the families' names for the command; returns those that clash with others', and why.

    Args:
        command: its name.
        families: what it printed.
        claims: what each command printed last, names to types, the commands in the order written. The
            exporter's own names come first; then an earlier command's.
    """
    names, clashes, types = Names(), {}, {}
    for earlier in (OWN, *(claims[other] for other in takewhile(lambda other: other != command, claims))):
        for name, type_ in earlier.items():
            names.add(name, type_)
    for family in families:
        if clash := names.add(family.name, _type(family)):
            clashes[family.name] = f"it clashes with {clash}, which is another command's or the exporter's"
        else:
            types[family.name] = _type(family)
    claims[command] = types
    return clashes


async def collect(command: Command, host: Host) -> Result:
    """Runs the command once and reads what it printed.

    Raises:
        ProbeError: it could not be run, failed, or printed nothing that can be served.
    """
    output = await run(*command.argv, limit=OUTPUT_LIMIT, via_launcher=True)
    # Its arguments and its error messages may hold secrets: those stay off the status page and the log.
    hint = f"see its output: `grid-exporter --config.file FILE probe command:{command.name}`"
    if output.code != 0:
        raise ProbeError(f"{command.argv[0]} failed: {output.ending}", hint)
    length = SLOWER * len(output.stdout)
    printed = await run_in_thread_if_large(length, parse, output.stdout, time.time())
    clashes = claim(command.name, printed.families, host.family_types)
    served = [family for family in printed.families if family.name not in clashes]
    refused = {**clashes, **printed.refused}
    if not served:
        problem = f": {_listed(refused)}" if refused else ""
        raise ProbeError(f"{command.argv[0]} printed no metrics that can be served{problem}", hint)
    notes = (Note(f"left out: {_listed(refused)}", "docs/commands.md has the rules"),) if refused else ()
    return Result(await run_in_thread_if_large(length, metrics, served, command.name), notes)


def _listed(refused: Mapping[str, str]) -> str:
    """The first few names with their reasons, and how many there are besides."""
    named = [f"{name} ({reason})" for name, reason in list(refused.items())[:NAMED]]
    more = len(refused) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def build(commands: Sequence[Command], host: Host) -> list[Probe]:
    """A probe for each command.

    Raises:
        ValueError: two have the same name.
    """
    names = [command.name for command in commands]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two commands are named {name}")
    host.family_types = {name: host.family_types.get(name, {}) for name in names}
    return [
        Probe(f"command:{each.name}", each, each, partial(collect, each, host), summarize, "commands")
        for each in commands
    ]


async def discover(host: Host) -> Note:  # noqa: ARG001 - every kind is asked alike
    """Nobody's commands can be guessed."""
    return Note(
        "no command is configured",
        "probes:\n  commands:\n    - {name: ups, argv: [/usr/local/bin/ups-metrics]}",
    )


KIND = Kind("commands", list[Command], build, discover)
