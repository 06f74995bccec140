import re
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.metrics.exposition import render
from exporter.probe import Host
from tests.box import box as fake
from tests.box import engine_api

MOVES = re.compile(rb"^grid_container_(cpu_seconds_total|memory_bytes)\{.*\n", re.MULTILINE)


async def metrics(box: fake.FakeBox) -> list[bytes]:
    """What the containers probe exports, without what moves by itself."""
    here = box.directory
    plan = load(here / "config.yml", Host(proc=here / "proc", cgroup=here / "cgroup"))
    (probe,) = (probe for probe in plan.probes if probe.name == "containers")
    families = render((await probe.run()).families).values()
    return [family.header + MOVES.sub(b"", family.samples) for family in families]


async def test_the_api_shows_the_same_as_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every container, whichever way it is asked for."""
    box = fake.make(tmp_path / "box")
    monkeypatch.setenv("PATH", box.environment["PATH"])
    by_command = await metrics(box)
    config = box.directory / "config.yml"
    text = config.read_text().replace("containers: {}", f"containers: {{host: '{engine_api.host(box)}'}}")
    config.write_text(text)
    with engine_api.served(box):
        assert await metrics(box) == by_command
    assert len(by_command) > 10
