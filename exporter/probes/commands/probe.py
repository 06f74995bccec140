"""The user's own commands: what they print in Prometheus's text format joins the exporter's metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from prometheus_client.core import Metric

from exporter.probe import Duration, Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.commands.summary import summarize
from exporter.probes.commands.textformat import Family, parse
from exporter.system.subprocesses import run
from exporter.system.threads import run_in_thread

OUTPUT_LIMIT = 1024 * 1024
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
HELP = "Printed by a configured command, cached."


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
        # Rendering gives a counter its _total back.
        name = family.name.removesuffix("_total") if family.type == "counter" else family.name
        metric = Metric(name, family.help or HELP, family.type or "untyped")
        for (sample, labels), value in family.samples.items():
            metric.add_sample(sample, {**dict(labels), "command": command}, value)
        converted.append(metric)
    return converted


def claim(command: str, families: Sequence[Family], claims: dict[str, dict[str, str]]) -> None:
    """Takes the families' names for the command. A name has one type: where two disagree, the first has it.

    Args:
        command: its name.
        families: what it printed.
        claims: what each command printed last, names to types, the commands in the order written.

    Raises:
        ProbeError: a command written before this one has a family of another type.
    """
    types = {family.name: family.type or "untyped" for family in families}
    for other, theirs in claims.items():
        if other == command:
            break
        for name, its_type in types.items():
            if theirs.get(name, its_type) != its_type:
                claims[command] = {}
                reason = f"{name} is of type {its_type} here and {theirs[name]} in the command {other}"
                raise ProbeError(reason, "give it one type in both, or two names")
    claims[command] = types


async def collect(command: Command, host: Host) -> Result:
    """Runs the command once and reads what it printed.

    Raises:
        ProbeError: it could not be run, failed, or printed something else than metrics.
    """
    output = await run(*command.argv, limit=OUTPUT_LIMIT, via_launcher=True)
    # Its arguments and its error messages may hold secrets: those stay off the status page and the log.
    hint = f"see its output: `grid-exporter --config.file FILE probe command:{command.name}`"
    if output.code != 0:
        raise ProbeError(f"{command.argv[0]} failed: {output.ending}", hint)
    try:
        families, converted = await run_in_thread(_read, output.stdout, command.name)
    except ValueError as error:
        raise ProbeError(str(error), hint) from error
    if not families:
        raise ProbeError(f"{command.argv[0]} printed no metrics", hint)
    claim(command.name, families, host.command_types)
    return Result(converted)


def _read(stdout: bytes, command: str) -> tuple[list[Family], list[Metric]]:
    families = parse(stdout)
    return families, metrics(families, command)


def build(commands: Sequence[Command], host: Host) -> list[Probe]:
    """A probe for each command.

    Raises:
        ValueError: two have the same name.
    """
    names = [command.name for command in commands]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two commands are named {name}")
    host.command_types = {name: host.command_types.get(name, {}) for name in names}
    return [
        Probe(f"command:{c.name}", c, c, partial(collect, c, host), summarize, "commands") for c in commands
    ]


async def discover(host: Host) -> Note:  # noqa: ARG001 - every kind is asked alike
    """Nobody's commands can be guessed."""
    return Note(
        "no command is configured",
        "probes:\n  commands:\n    - {name: ups, argv: [/usr/local/bin/ups-metrics]}",
    )


KIND = Kind("commands", list[Command], build, discover)
