"""The configuration file: which probes there are, read strictly."""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from exporter.config import strict_yaml
from exporter.config.mistakes import quoted
from exporter.config.strict_yaml import ConfigError
from exporter.probe import Duration, Host, Note, Probe, ProbeError
from exporter.probes import KINDS
from exporter.system.threads import TimedThread

UNITS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
# Each unit at most once, in this order, as Prometheus has it; "m" must not be the beginning of "ms".
DURATION = re.compile(r"(?=\d)" + "".join(rf"(?:(\d{{1,9}}){unit}(?!s))?" for unit in UNITS), re.ASCII)
DURATION_LIMIT = 100  # characters
TIMEOUT = 5.0  # seconds, of reading the file and of each kind's discovery
HUNG = Note(
    f"discovery took longer than {TIMEOUT:g} seconds",
    "see what the tool hangs on, then restart the exporter or send it SIGHUP; or name it in a configuration",
)


class Plan(Struct, frozen=True):
    """What is monitored.

    settings: of every kind of probe that is on. probes: made from them. absent: why each other kind is off,
    and how to switch it on. source: where this comes from, for a person.
    """

    settings: Mapping[str, Any]
    probes: tuple[Probe, ...]
    absent: Mapping[str, Note]
    source: str


def load(path: Path, host: Host) -> Plan:
    """Reads the configuration file.

    Raises:
        ConfigError: it can't be read, anyone may write it, or it holds a mistake.
    """
    text, mode = strict_yaml.read(path)
    settings = parse(text)
    if mode & stat.S_IWOTH:  # it names programs that are run
        raise ConfigError(f"{path} may be written by anyone: chmod o-w {path}")
    off = Note("not in the configuration", f"add it under probes: in {path}")
    absent = {kind.name: off for kind in KINDS if kind.name not in settings}
    return Plan(settings, _build(settings, host), absent, str(path))


_reading = TimedThread(TIMEOUT)


async def load_in_time(path: Path, host: Host) -> Plan:
    """As ``load``, but beside the event loop: a file that doesn't answer must not hold up scrapes.

    Raises:
        ConfigError: as ``load`` does, or it took too long.
    """
    try:
        return await _reading.run(load, path, host)
    except TimeoutError as error:
        raise ConfigError(f"{path} can't be read: nothing came within {TIMEOUT:g} seconds") from error
    except ProbeError as error:
        raise ConfigError(f"{path} can't be read: {error.reason}") from error


async def discover(host: Host) -> Plan:
    """The plan where there is no configuration file: what the host has. What hangs is left out."""
    tasks = {kind.name: asyncio.ensure_future(kind.discover(host)) for kind in KINDS}
    _, hung = await asyncio.wait(tasks.values(), timeout=TIMEOUT)
    for task in hung:
        task.cancel()  # it ends with its process, which is not awaited
    results = {name: HUNG if task in hung else task.result() for name, task in tasks.items()}
    settings = {name: it for name, it in results.items() if not isinstance(it, Note)}
    absent = {name: it for name, it in results.items() if isinstance(it, Note)}
    return Plan(settings, _build(settings, host), absent, "what this host has")


def parse(text: str) -> dict[str, Any]:
    """The settings of every configured kind of probe, from the configuration's text.

    Raises:
        ConfigError: with the path of the mistake, such as ``probes.disk.ttl``.
    """
    probes = strict_yaml.decode(text, _Config, _decode).probes
    return {name: it for name, it in msgspec.structs.asdict(probes).items() if it is not msgspec.UNSET}


def duration(text: object) -> Duration:
    """A duration as Prometheus writes it (``90s``, ``1h30m``, ``0``), in seconds.

    Raises:
        ValueError: it is anything else.
    """
    written = str(text) if isinstance(text, str | int) else ""
    match = DURATION.fullmatch("0s" if written == "0" else written[:DURATION_LIMIT])
    if match is None:
        raise ValueError(f"expected a duration such as 60s, got {quoted(text)}")
    parts = zip(match.groups(), UNITS.values(), strict=True)
    return Duration(sum(int(count) * unit for count, unit in parts if count), written)


def _build(settings: Mapping[str, Any], host: Host) -> tuple[Probe, ...]:
    probes: list[Probe] = []
    for kind in KINDS:
        if kind.name in settings:
            try:
                probes += kind.build(settings[kind.name], host)
            except ValueError as error:
                raise ConfigError(f"probes.{kind.name}: {error}") from error
    return tuple(probes)


# The type of the `probes` key, a field for each kind: so that one list alone names them.
_Probes = msgspec.defstruct(
    "_Probes",
    [(kind.name, kind.settings | msgspec.UnsetType, msgspec.UNSET) for kind in KINDS],
    forbid_unknown_fields=True,
    frozen=True,
)


class _Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    probes: _Probes  # type: ignore[valid-type]


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        return duration(value)
    raise NotImplementedError(kind)
