"""A reader of Prometheus's text format that forgives nothing: what it takes, every other reader takes."""

from __future__ import annotations

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
# A value holds what every reader can print: no control character, no stand-in for a byte that was no UTF-8.
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\x00-\x1f\x7f\ud800-\udfff]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\x00-\x1f\ud800-\udfff]|\\[\\n])*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|untyped|histogram|summary)")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?|[+-]Inf|NaN")
NUMBERED = {("histogram", "_bucket"): "le", ("summary", ""): "quantile"}
POINT = re.compile(r'\w+="[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)"', re.IGNORECASE)
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def parsed(text: str) -> dict[str, float]:
    """Each series' value, by its name and labels, the labels sorted.

    Every family comes once: HELP, TYPE, then all its samples, each series once.
    """
    assert text.endswith("\n"), f"cut off: ...{text[-100:]!r}"
    found: dict[str, float] = {}
    families: dict[str, str] = {}
    family, kind, helped = "", "", ""
    for line in text.split("\n")[:-1]:
        if match := HELP.fullmatch(line):
            helped = match[1]
        elif match := TYPE.fullmatch(line):
            family, kind = match.groups()
            assert family == helped, f"no HELP before {line!r}"
            assert family not in families, f"{family} comes twice"
            families[family] = kind
        else:
            series, value = _sample(line, family, kind)
            assert series not in found, f"{series} comes twice"
            found[series] = value
    for family, kind in families.items():
        clashing = [
            family + suffix for suffix in SUFFIXES.get(kind, ()) if suffix and family + suffix in families
        ]
        assert not clashing, f"{clashing} are samples of {family} and families, too"
    return found


def _sample(line: str, family: str, kind: str) -> tuple[str, float]:
    match = SAMPLE.fullmatch(line)
    assert match, f"no sample: {line!r}"
    name, labels, value = match.groups()
    assert name in {family + suffix for suffix in SUFFIXES.get(kind, ("",))}, f"{name} is not of {family}"
    assert NUMBER.fullmatch(value), f"no number: {line!r}"
    pairs = sorted(re.findall(LABEL, labels or ""))
    names = [pair.partition("=")[0] for pair in pairs]
    if numbered := NUMBERED.get((kind, name.removeprefix(family))):
        assert numbered in names, f"no {numbered}: {line!r}"
    for pair in pairs:
        if (kind, pair.partition("=")[0]) in {("histogram", "le"), ("summary", "quantile")}:
            assert POINT.fullmatch(pair), f"no number: {line!r}"
    assert len(set(names)) == len(names), f"a label comes twice: {line!r}"
    return (f"{name}{{{','.join(pairs)}}}" if pairs else name), float(value)
