"""When alerts fire on days of boxes, as the rules say: promtool evaluates them with their waits and keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.prometheus.days import Series, rendered
from tests.prometheus.promtool import FOLDER, run

RULES = FOLDER / "rules" / "alerts.yml"
# Of an instant query that fails, promtool prints what it got: each alert that fires, with the time.
FIRING = 'timestamp(ALERTS{alertstate="firing", alertname!="GridWatchdog"})'
SAMPLE = re.compile(r"\{(.*?)\} ([\d.E+]+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')

Labels = tuple[tuple[str, str], ...]


class Firing(NamedTuple):
    """An alert that fires from one minute until another; None: longer than was looked at."""

    labels: dict[str, str]
    start: int
    end: int | None

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


def timelines(
    file: Path, boxes: Mapping[str, Series], minutes: Sequence[int], rules: Path = RULES
) -> dict[str, list[Firing]]:
    """What fires on each box, by the box's name, in the order of time.

    Args:
        file: what promtool reads, which is written.
        boxes: by their names.
        minutes: at which the boxes are scraped and the rules evaluated, at even distances from 0 on.
        rules: the rule file.
    """
    every = minutes[1] - minutes[0]
    series = [line for name, box in boxes.items() for line in rendered(box, name, minutes)]
    test = {
        "interval": f"{every}m",
        "input_series": series,
        "promql_expr_test": [{"expr": FIRING, "eval_time": f"{minute}m"} for minute in minutes],
    }
    content = {"rule_files": [str(rules)], "evaluation_interval": f"{every}m", "tests": [test]}
    file.write_text(json.dumps(content), "utf-8")
    done = run("promtool", "test", "rules", file, timeout=1800)
    output = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in output, output
    seen: dict[Labels, list[int]] = {}
    for labels, minute in _samples(output):
        seen.setdefault(labels, []).append(minute)
    found: dict[str, list[Firing]] = {name: [] for name in boxes}
    for labels, at in seen.items():
        alert = dict(labels)
        found[alert["instance"]] += [Firing(alert, *span) for span in _spans(at, every, minutes[-1])]
    return {name: sorted(firings, key=lambda it: (it.start, it.name)) for name, firings in found.items()}


def _samples(output: str) -> Iterator[tuple[Labels, int]]:
    """Each alert that promtool got, and its minute."""
    for line in output.splitlines():
        what, _, got = line.strip().partition(":")
        if what == "got":
            for labels, seconds in SAMPLE.findall(got):
                yield tuple(LABEL.findall(labels.replace("alertstate", ""))), round(float(seconds)) // 60


def _spans(minutes: Sequence[int], every: int, last: int) -> Iterator[tuple[int, int | None]]:
    """The stretches without a gap: where each begins, and the minute in which it is over."""
    start = minutes[0]
    for minute, following in zip(minutes, [*minutes[1:], None], strict=True):
        if following != minute + every:
            yield start, None if minute == last else minute + every
            start = following or 0
