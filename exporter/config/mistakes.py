"""What is wrong with a configuration, in one line: its path, what was expected, and the line of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from typing import Any

import yaml

LONGEST = 60  # characters of a value or key that are quoted
PLAIN_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
STEP = re.compile(r"\.([^.\[]++)|\[(\d++)\]|(\[\.\.\.\])")

Path = list[str | int]
# What msgspec makes of a document: its message, empty where there is nothing wrong.
Check = Callable[[Any], str]


def quoted(value: object) -> str:
    """The value as written in Python, shortened."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}…{text[0]}"


def explain(message: str, document: Any, node: yaml.Node | None, check: Check, *, secret: bool) -> str:
    """Puts msgspec's message into a person's words: ``probes.disk.ttl: expected ..., got ... (line 3)``.

    Args:
        message: such as "Expected `str`, got `bool` - at `$.probes.services.categories[...][0]`".
        document: what was read.
        node: the YAML that it was read from.
        check: what msgspec says of a document, by which the key is found that it does not name.
        secret: whether no value may be quoted.
    """
    problem, _, place = message.partition(" - at ")
    path = _path(place.rpartition("`$")[2].rstrip("`"), document, message, check)
    if place.startswith("`key` in "):
        return _odd_key(path, _find(node, path))
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL):
        return _line([*path, unknown[1]], "unknown key", _find(node, [*path, unknown[1]]))
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return _line([*path, missing[1]], "missing", _find(node, path))
    found = _find(node, path)
    expected = re.sub(r"`([^`]*)`", lambda types: _in_words(types[1]), problem)
    if problem.startswith("Expected `str`") and isinstance(found, yaml.ScalarNode) and found.style is None:
        expected += ", write it in quotes" if secret else f', write "{found.value[:LONGEST]}" in quotes'
    if expected.startswith("Expected a mapping") and expected.endswith("got nothing"):
        expected += " (write {} for its defaults)"
    return _line(path, f"{expected[:1].lower()}{expected[1:]}", found)


def _odd_key(path: Path, mapping: yaml.Node | None) -> str:
    """The first key of a mapping that is no text."""
    for key, _ in mapping.value if isinstance(mapping, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:str":
            problem = f'expected keys that are text, write "{key.value[:LONGEST]}" in quotes'
            return _line(path, problem, key)
    return _line(path, "expected keys that are text", mapping)


def _line(path: Path, problem: str, node: yaml.Node | None) -> str:
    line = f" (line {node.start_mark.line + 1})" if node else ""
    return f"{_written(path) or 'the file'}: {problem}{line}"


def _written(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step[:LONGEST]}" for step in path)
    return "".join(steps).removeprefix(".")


def _path(text: str, document: Any, message: str, check: Check) -> Path:
    """The steps of msgspec's path. Where it writes ``[...]`` for any key, the one that fails by itself."""
    path: Path = []
    for name, index, _ in STEP.findall(text):
        if name or index:
            path.append(name or int(index))
        else:
            mapping = reduce(getitem, path, document)
            alone = (
                key for key in mapping if check(_replaced(document, path, {key: mapping[key]})) == message
            )
            path.append(next(alone))
    return path


def _replaced(document: Any, path: Path, value: Any) -> Any:
    """The document with another value at the path."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = _replaced(document[path[0]], path[1:], value)
    return copy


def _find(node: yaml.Node | None, path: Path) -> yaml.Node | None:
    """The node at the path, or the nearest around it."""
    for step in path:
        inner = next(_inner(node, step), None)
        if inner is None:
            break
        node = inner
    return node


def _inner(node: yaml.Node | None, step: str | int) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        yield from node.value[step : step + 1]
    if isinstance(node, yaml.MappingNode):
        yield from (value for key, value in node.value if key.value == step)


def _in_words(types: str) -> str:
    return " or ".join(PLAIN_WORDS.get(name, name) for name in types.split(" | "))
