"""The project's rules and routes with their minutes turned into seconds."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TIMES = 60  # so many times quicker
LEAST = 5  # seconds of a range: some samples must be in it
RANGE = re.compile(r"(\[|\boffset )(\d+)([smhd])\b")
STEP = re.compile(r"(?<=:)\d+[smhd](?=\])")


def rules(path: Path) -> None:
    """Has alerts fire after a second, and look back over seconds.

    Only those that foretell stay as they are: a minute's noise foretells anything.
    """
    written = yaml.safe_load(path.read_text("utf-8"))
    for rule in (rule for group in written["groups"] for rule in group["rules"]):
        rule["expr"] = RANGE.sub(_shorter, rule["expr"])
        for wait in {"for", "keep_firing_for"} & rule.keys():
            rule[wait] = rule[wait] if "predict_linear" in rule["expr"] else "1s"
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


def _shorter(span: re.Match[str]) -> str:
    return f"{span[1]}{max(LEAST, int(span[2]) * SECONDS[span[3]] // TIMES)}s"
