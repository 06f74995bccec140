"""The project's rules and routes with their minutes turned into seconds."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import yaml

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TIMES = 60  # quicker by that
LEAST = 5  # seconds of a range: some samples must be in it
RANGE = re.compile(r"(\[|\boffset )(\d+)([smhd])\b")
STEP = re.compile(r"(?<=:)\d+[smhd](?=\])")


def rules(path: Path, times: int = TIMES, wait: str = "1s") -> None:
    """Has alerts wait for a second, and look back so many times less far.

    Only those that foretell stay as they are: a minute's noise foretells anything.
    """
    shorter = partial(_shorter, times)
    written = yaml.safe_load(path.read_text("utf-8"))
    for rule in (rule for group in written["groups"] for rule in group["rules"]):
        rule["expr"] = subqueries(RANGE.sub(shorter, rule["expr"]))
        for key in {"for", "keep_firing_for"} & rule.keys():
            rule[key] = rule[key] if "predict_linear" in rule["expr"] else wait
    path.write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True), "utf-8")


def subqueries(expr: str) -> str:
    """An expression whose subqueries, if any, look every second."""
    return STEP.sub("1s", expr)


def routes(path: Path) -> None:
    """Has Alertmanager send everything at once, and the end of it too."""
    config = yaml.safe_load(path.read_text("utf-8"))
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")


def routes_by(path: Path, times: int) -> None:
    """Has Alertmanager wait and repeat as it does, but everything so many times quicker."""
    config = yaml.safe_load(path.read_text("utf-8"))
    for route in (config["route"], *config["route"]["routes"]):
        for key in {"group_wait", "group_interval", "repeat_interval"} & route.keys():
            count, unit = int(route[key][:-1]), route[key][-1]
            route[key] = f"{count * SECONDS[unit] * 1000 // times}ms"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")


def _shorter(times: int, span: re.Match[str]) -> str:
    return f"{span[1]}{max(LEAST, int(span[2]) * SECONDS[span[3]] // times)}s"
