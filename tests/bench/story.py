"""The story that the bench tells again: a box whose tools are slow, and one of them then hangs.

A scan takes 20 s, a request through Tor 5 s, nvidia-smi 2 s, docker 1 s and systemctl 0.2 s. The old
dashboard had everybody wait for all of them, one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from tests.box import box as fake
from tests.box.box import FakeBox

QUICK = ("host", "gpu", "containers", "services", "aide")  # the kinds of probes that a scrape waits for
USUAL = {"gpus": 2, "count": 34, "models": 10}  # about 1,000 series
LARGE = {"gpus": 2, "count": 518, "models": 10}  # about 10,000
AT_REST = {"ttl": "1h"}  # nothing becomes due while it is measured
AT_WORK = {"ttl": "2s", "wait": "0s"}  # the first scrape after a rest needn't wait: it is left out


def at_rest(directory: Path, **size: int) -> FakeBox:
    """A box on which nothing is due."""
    return configure(fake.make(directory, **(size or USUAL)), **AT_REST)


def at_work(directory: Path) -> FakeBox:
    """A box whose tools are always at work, and quick as yet."""
    return configure(fake.make(directory, **USUAL), **AT_WORK)


def configure(box: FakeBox, kinds: Collection[str] = (), **schedule: str) -> FakeBox:
    """Gives the probes of these kinds (of all, if none is named) the same schedule."""
    path = box.directory / "config.yml"
    config = yaml.safe_load(path.read_text())
    for kind, settings in config["probes"].items():
        each: list[dict[str, Any]] = settings if isinstance(settings, list) else [settings]
        for one in each if kind in kinds or not kinds else ():
            one.update(schedule)
    path.write_text(yaml.safe_dump(config))
    return box


def series(body: bytes) -> int:
    """How many series a body has."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


def amount(name: str, body: bytes) -> str:
    """How much a server gives, in words."""
    return f"{name}: {series(body):,} series in {len(body) / 1000:,.0f} KB"
