"""Sizes a Prometheus for a fleet: ``python -m tests.bench.fleet [BOXES]``; it takes a quarter of an hour.

First a typical box lives two hours, ten times as fast as it would; what Prometheus's own format makes of its
values gives the bytes of a sample. Then a real Prometheus watches so many boxes with the project's files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import yaml

from exporter.humanize import size
from prometheus.stack import programs
from prometheus.stack.program import address
from tests.box import control
from tests.box.box import FakeBox, make
from tests.box.files import put
from tests.real.fleet import Fleet, scrape, watched

INTERVAL = 15.0  # seconds between scrapes, as prometheus.yml has it
HISTORY = 7200.0  # seconds of a block before Prometheus merges it with others
PACE = 10.0
DAY = 86400
TTLS = {"disk": 60, "tor": 120, "aide": 60, "commands": 30}  # seconds; the others are asked with every scrape


def main() -> int:
    """Measures, and prints what README says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("boxes", type=int, nargs="?", default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="grid-fleet-") as folder:
        for line in chain(_stored(Path(folder)), _watched(Path(folder) / "fleet", options.boxes)):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


def _stored(folder: Path) -> Iterator[str]:
    """What a box's values take on disk."""
    (folder / "box").mkdir()
    bodies = list(_lived(folder / "box"))
    text, start = folder / "history.txt", time.time() // HISTORY * HISTORY - 2 * HISTORY
    text.write_text(_openmetrics(bodies, start), "utf-8")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), f"{folder}/blocks"]
    subprocess.run(blocks, check=True, stdout=subprocess.DEVNULL)
    (meta,) = (folder / "blocks").glob("*/meta.json")
    stats = json.loads(meta.read_text())["stats"]
    chunks = sum(path.stat().st_size for path in meta.parent.glob("chunks/*"))
    index = (meta.parent / "index").stat().st_size
    yield f"a scrape: {len(_series(bodies[0]))} series, {size(len(bodies[0]))} of text"
    samples = stats["numSamples"]
    yield f"two hours of a box: {samples} samples in {stats['numSeries']} series"
    yield f"a sample: {chunks / samples:.2f} bytes, and {index / samples:.2f} of index"
    yield f"a box a day: {size((chunks + index) * DAY / HISTORY)}"


def _lived(folder: Path) -> Iterator[str]:
    """A box's bodies of two hours, in a tenth of the time: its clock, and every ttl, keep that pace."""
    box = make(folder / "box")
    _hurry(box)
    began = time.time()
    with control.served(box), programs.exporter(folder, address(), box.flags, box.environment) as exporter:
        first = time.monotonic()
        for number in range(int(HISTORY / INTERVAL)):
            time.sleep(max(0.0, first + number * INTERVAL / PACE - time.monotonic()))
            put(box.directory / "clock", str(began + number * INTERVAL))
            yield scrape(exporter.url).decode()


def _hurry(box: FakeBox) -> None:
    path = box.directory / "config.yml"
    config = yaml.safe_load(path.read_text())
    for kind, settings in config["probes"].items():
        for each in settings if isinstance(settings, list) else [settings]:
            each["ttl"] = f"{max(1000, TTLS.get(kind, 0) * 1000 / PACE):.0f}ms"
    path.write_text(yaml.safe_dump(config))


def _series(body: str) -> dict[str, str]:
    """A body's values by their series."""
    lines = (line.rpartition(" ") for line in body.splitlines() if not line.startswith("#"))
    return {series: value for series, _, value in lines}


def _openmetrics(bodies: list[str], start: float) -> str:
    """The bodies as a history that begins then, with the labels that Prometheus adds."""
    history: dict[str, list[str]] = {}
    for number, body in enumerate(bodies):
        moment = start + number * INTERVAL
        for series, value in _series(body).items():
            name, _, labels = series.partition("{")
            named = f'{name}{{instance="vega",job="grid"{f",{labels}" if labels else "}"}'
            history.setdefault(named, []).append(f"{named} {value} {moment:.0f}\n")
    return "".join(line for lines in history.values() for line in lines) + "# EOF\n"


def _watched(folder: Path, boxes: int) -> Iterator[str]:
    """What it takes to watch so many boxes."""
    folder.mkdir()
    with watched(folder, boxes, f"{INTERVAL:.0f}s") as fleet:
        _settle(fleet)
        series, memory = (
            _own(fleet, "prometheus_tsdb_head_series"),
            _own(fleet, "process_resident_memory_bytes"),
        )
        cpu = _own(fleet, "rate(process_cpu_seconds_total[2m])")
        rules = sum(_values(fleet, "prometheus_rule_group_last_duration_seconds"))
        samples = _own(fleet, "rate(prometheus_tsdb_head_samples_appended_total[2m])")
        recorded, raw = fleet.page(3)
        yield f"{boxes} boxes: {series:.0f} series, {samples:.0f} samples/s every {INTERVAL:.0f} s"
        yield f"Prometheus: {size(memory)}, {memory / series:.0f} bytes a series, {cpu:.2f} CPUs"
        yield f"all rules once: {rules:.2f} s, one after the other"
        yield f"the fleet page: {recorded:.3f} s from recorded series, {raw:.2f} s from the boxes' own"


def _settle(fleet: Fleet) -> None:
    """Waits until rates can be told: Prometheus scrapes itself too."""
    time.sleep(150)
    fleet.wait("rate(prometheus_tsdb_head_samples_appended_total[2m]) > 0", 1)


def _own(fleet: Fleet, expr: str) -> float:
    """A value of Prometheus itself."""
    expr = expr.replace("[", '{job="prometheus"}[') if "[" in expr else f'{expr}{{job="prometheus"}}'
    return sum(_values(fleet, expr))


def _values(fleet: Fleet, expr: str) -> list[float]:
    return [float(series["value"][1]) for series in fleet.query(expr)]


if __name__ == "__main__":
    sys.exit(main())
