"""The configuration file: YAML, read strictly, every mistake one clear line with the place where it is."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from exporter.probe import Box, Duration, Kind, Note, Probe
from exporter.probes import KINDS

SIZE_LIMIT = 1024 * 1024
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
DURATION = re.compile(
    r"(?=\d)" + "".join(rf"(?:(\d+){unit})?" for unit in ("y", "w", "d", "h", r"m(?!s)", "s", "ms"))
)
PLAIN_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class ConfigError(Exception):
    """The configuration can't be used. Its text is one line for a person: where it is wrong, and how."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served.

    settings: of every kind of probe that is on. probes: made from them. absent: why each other kind is off,
    and how to switch it on. source: where this comes from, in words.
    """

    settings: Mapping[str, Any]
    probes: tuple[Probe, ...]
    absent: Mapping[str, Note]
    source: str


def load(path: Path, box: Box) -> Plan:
    """Reads the configuration file.

    Raises:
        ConfigError: it can't be read, is not what a configuration looks like, or names commands while anyone
            may write it.
    """
    text = _read(path)
    settings = parse(text)
    if "commands" in settings and path.stat().st_mode & stat.S_IWOTH:
        raise ConfigError(f"{path} names commands and anyone may write it: chmod o-w {path}")
    off = Note("not in the configuration", f"add it under probes: in {path}")
    absent = {kind.name: off for kind in KINDS if kind.name not in settings}
    return Plan(settings, _build(settings, box), absent, str(path))


async def discover(box: Box) -> Plan:
    """Finds out what the box has, where there is no configuration file."""
    found = {kind.name: await kind.discover(box) for kind in KINDS}
    settings = {name: it for name, it in found.items() if not isinstance(it, Note)}
    absent = {name: it for name, it in found.items() if isinstance(it, Note)}
    return Plan(settings, _build(settings, box), absent, "what this box has")


def parse(text: str) -> dict[str, Any]:
    """The settings of every configured kind of probe, from the configuration's text.

    Raises:
        ConfigError: with the path of the mistake, such as ``probes.disk.ttl``.
    """
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
        config = msgspec.convert(document, _Config, dec_hook=_decode)
    except yaml.YAMLError as error:
        raise ConfigError(_explain_yaml(error)) from error
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error))) from error
    except RecursionError as error:
        raise ConfigError("it contains itself (a YAML alias inside its own anchor)") from error
    return {name: it for name, it in msgspec.structs.asdict(config.probes).items() if it is not msgspec.UNSET}


def duration(text: object) -> Duration:
    """A duration as Prometheus writes it (``90s``, ``1h30m``), in seconds.

    Raises:
        ValueError: it is anything else.
    """
    match = DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"expected a duration such as 60s, got {text!r}")
    units = ("y", "w", "d", "h", "m", "s", "ms")
    parts = zip(match.groups(), units, strict=True)
    return Duration(sum(int(count) * UNITS[unit] for count, unit in parts if count))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{path} is larger than {SIZE_LIMIT // 1024} KiB: not a configuration")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error


def _build(settings: Mapping[str, Any], box: Box) -> tuple[Probe, ...]:
    probes: list[Probe] = []
    for kind in KINDS:
        if kind.name in settings:
            try:
                probes += kind.build(settings[kind.name], box)
            except ValueError as error:
                raise ConfigError(f"probes.{kind.name}: {error}") from error
    return tuple(probes)


def _probes_struct(kinds: tuple[Kind, ...]) -> type[msgspec.Struct]:
    """The type of the ``probes`` key: a field for each kind, so that one list alone names them."""
    fields = [(kind.name, kind.settings | msgspec.UnsetType, msgspec.UNSET) for kind in kinds]
    return msgspec.defstruct("Probes", fields, forbid_unknown_fields=True, frozen=True)


class _Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    probes: _probes_struct(KINDS)  # type: ignore[valid-type]


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        return duration(value)
    raise NotImplementedError(kind)


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which however takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - its signature
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _explain_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _explain(message: str) -> str:
    """Puts msgspec's message into a person's words, its path first: ``probes.disk.ttl: expected ...``."""
    problem, _, path = message.partition(" - at `$")
    path = path.rstrip("`").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL):
        return f"{path}{'.' if path else ''}{unknown[1]}: unknown key"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{path}{'.' if path else ''}{missing[1]}: missing"
    problem = re.sub(r"`([^`]*)`", lambda types: _in_words(types[1]), problem)
    problem = problem[:1].lower() + problem[1:]
    if problem.endswith("got nothing"):
        problem += " (write {} for its defaults)" if "a mapping" in problem else ""
    return f"{path or 'the file'}: {problem}"


def _in_words(types: str) -> str:
    return " or ".join(PLAIN_WORDS.get(name, name) for name in types.split(" | "))
