"""YAML into typed values, every mistake one line that begins with its path: for both configuration files."""

from __future__ import annotations

import os
import re
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any

import msgspec
import yaml

from exporter.config.mistakes import explain, quoted

SIZE_LIMIT = 256 * 1024  # bytes; to read 1 MiB of YAML takes PyYAML ten seconds
PIPE_SECONDS = 4.0  # that a pipe's writer may take; less than whoever waits for the reading gives it
NODE_LIMIT = 100_000  # keys and values, with each alias counted as what it stands for
UNUSABLE = re.compile("[\0\ud800-\udfff]")  # a NUL, and halves of a character


class ConfigError(Exception):
    """A configuration can't be used. Its text is one line for a person: where it is wrong, and how."""


def read(path: Path) -> tuple[str, int]:
    """The file's text and mode; it may be a pipe, which must not keep its reader waiting.

    Raises:
        ConfigError: it can't be read, is absurdly large, is just being written, or is not UTF-8.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(SIZE_LIMIT + 1) if file.seekable() else _read_pipe(file.fileno())
            status = os.fstat(file.fileno())
    except TimeoutError as error:
        raise ConfigError(
            f"{path} can't be read: its writer sent no end within {PIPE_SECONDS:g} seconds"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{path} is larger than {SIZE_LIMIT // 1024} KiB: not a configuration")
    if stat.S_ISREG(status.st_mode) and status.st_size != len(data):
        raise ConfigError(f"{path} is being written just now: try again once it is whole")
    try:
        return data.decode("utf-8"), status.st_mode
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error


def _read_pipe(descriptor: int) -> bytes:
    """What comes until the writer closes its end, up to a byte more than the limit.

    Raises:
        TimeoutError: there is no writer, or it takes too long.
    """
    data, ready = b"", select.poll()
    ready.register(descriptor, select.POLLIN)
    end = time.monotonic() + PIPE_SECONDS
    while len(data) <= SIZE_LIMIT:
        left = end - time.monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            raise TimeoutError
        if not (part := os.read(descriptor, SIZE_LIMIT)):
            break
        data += part
    return data


def decode(
    text: str,
    kind: type | UnionType,
    hook: Callable[[type, Any], Any] | None = None,
    *,
    secret: bool = False,
) -> Any:
    """The text as a value of this type; unknown keys, keys given twice and wrong types are refused.

    Args:
        text: YAML.
        kind: what to make of it.
        hook: makes values of types that msgspec doesn't know; raises ValueError.
        secret: whether it may hold secrets, so that what is no YAML must not be quoted.

    Raises:
        ConfigError: with the path of the mistake, such as ``probes.disk.ttl``.
    """

    def check(document: Any) -> str:
        try:
            msgspec.convert(document, kind, dec_hook=hook)
        except msgspec.ValidationError as error:
            return str(error)
        return ""

    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node and _written_out(node, {}) > NODE_LIMIT:
            raise ConfigError("it is too large: its aliases stand for too much")
        document = loader.construct_document(node) if node else None
        if message := check(document):
            raise ConfigError(explain(message, document, node, check, secret=secret))
        return msgspec.convert(document, kind, dec_hook=hook)
    except yaml.YAMLError as error:
        raise ConfigError(_explain_yaml(error, secret)) from error
    except RecursionError as error:
        raise ConfigError(
            "it is nested too deeply, or contains itself (an alias in its own anchor)"
        ) from error


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of nodes, with each alias written out: a few lines may stand for 4 ** 20."""
    if id(node) not in known:
        known[id(node)] = 0  # what contains itself has no end; that is another mistake
        inner = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = [part for each in inner for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in pairs)
    return known[id(node)]


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, without what it lets through: equal keys, and text that no system call takes."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - its signature
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # as PyYAML has them: !!int ""
            kind = node.tag.rpartition(":")[2]
            raise _mistake(f"what stands here is no {kind}", node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - its signature
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key.value, str):
                if key.value in seen:
                    raise _mistake(f"{quoted(key.value)} is given twice", key)
                if not key.value.isprintable():
                    raise _mistake(f"{quoted(key.value)} can't be a key", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if isinstance(node.value, str) and (odd := UNUSABLE.search(node.value)):
            raise _mistake(f"text can't hold the character {odd[0]!r}", node)
        return super().construct_scalar(node)


class _Mistake(yaml.MarkedYAMLError):
    """One of ours, which quotes no value."""


def _mistake(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return _Mistake(problem=problem, problem_mark=node.start_mark)


def _explain_yaml(error: yaml.YAMLError, secret: bool) -> str:  # noqa: FBT001
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    if secret and not isinstance(error, _Mistake):
        problem = "this is no YAML; a value with special characters belongs in quotes"
    return f"line {mark.line + 1}: {problem}" if mark else problem
