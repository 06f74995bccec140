"""What happens on the demo's box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.probe import ProbeError
from prometheus.health import DOMAINS, worst_problem
from prometheus.states import STATES
from tests.box import llm
from tests.box.box import FakeBox, make
from tests.box.collect import Series, collect, scrape
from tests.box.files import put
from tests.box.story import (
    FAULTS,
    LASTS,
    MODEL,
    PACE,
    PAUSE,
    QUICK,
    SHORT,
    SLOWLY,
    TICK,
    Fault,
    Story,
    begin,
    faults_at,
    running,
)
from tests.prometheus.promtool import errors_of, needs_promtool

KINDS = ("gpu", "containers", "services", "tor", "host", "command")


async def all_found(box: FakeBox) -> list[Series | None]:
    """What the probes find; None where one can't."""
    seen: list[Series | None] = []
    for kind in KINDS:
        try:
            seen.append(await collect(box, kind))
        except ProbeError:
            seen.append(None)
    return seen


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.message)
async def test_every_fault_begins_and_ends(box: FakeBox, fault: Fault) -> None:
    """Each shows while it lasts, and after it all is as it was before."""
    box.freeze(1.8e9)
    box.memory(0.5)
    box.container("vllm", started=box.now())  # these are started anew
    box.start_service("rag-index@mail.service")
    before = await all_found(box)
    fault.begin(box)
    if fault.message == "docker hangs":
        assert (box.directory / "faults/docker").read_text() == "hang"
    else:
        assert await all_found(box) != before
    fault.end(box)
    assert await all_found(box) == before


async def test_failed_container_from_the_start(box: FakeBox) -> None:
    """Before anything else happens, a container has failed."""
    begin(box)
    assert (await collect(box, "containers"))['grid_container_exit_code{container="backup"}'] == 1


BOX, START = 'job="grid",instance="demo"', 1.8e9
# What each domain shows after so many seconds; each other is healthy.
TILES = {
    0: {},
    145: {
        "containers": "Unhealthy · searxng",
        "tor": "Tor down",
        "gpu": "Hot · GPU 1",
        "services": "Failed · rag-index@mail.service",
    },
    285: {
        "containers": "Stopped · vllm",
        "llm": "Server down · vllm",
        "aide": "Findings",
        "exporter": "Probe failing · command:ups",
        "host": "Nearly out",
    },
}


@needs_promtool
async def test_every_domain_shows_something_in_five_minutes(box: FakeBox, tmp_path: Path) -> None:
    """As Prometheus computes what the tiles show; on the disk a model appears and grows."""
    box.freeze(START)
    box.use_own_disks()
    scrapes: dict[int, Series] = {}
    with llm.served(box) as follow:
        story = Story(box, lambda _: None, follow)
        for second in range(0, 300, TICK):
            put(box.directory / "clock", str(START + second))
            story.step(second)
            if second in TILES:
                scrapes[second] = await scrape(box)
    assert {*TILES[145], *TILES[285]} == {domain.name for domain in DOMAINS} - {"disk"}
    model = f'grid_directory_entry_size_bytes{{entry="{MODEL}",path="/ai/models"}}'
    assert [scrapes[second].get(model) for second in TILES] == [None, 85 * PACE, 225 * PACE]
    tests = [_shows(scrapes[second], tiles) for second, tiles in TILES.items()]
    file = tmp_path / "tiles.yml"
    file.write_text(yaml.safe_dump({"tests": tests}), encoding="utf-8")
    assert errors_of("promtool", "test", "rules", file) == ""


def _shows(scraped: Series, tiles: dict[str, str]) -> dict[str, Any]:
    """Promtool's test that this is what the tiles show of a scrape."""
    codes = {state.text: state.code for state in STATES}
    checks = []
    for domain in DOMAINS:
        reason = tiles.get(domain.name, "healthy")
        code = codes.get(reason.partition(" · ")[0], 0)
        worst = worst_problem(domain.name, 'job="grid"')
        box = f"{BOX}, " if code else ""  # all are healthy, or this one has a problem
        expected = [{"labels": f'{{{box}reason="{reason}"}}', "value": code}]
        query = f"max by (job, instance, reason) ({worst})"
        checks.append({"expr": query, "eval_time": "1m", "exp_samples": expected})
    series = []
    for name, value in scraped.items():
        metric, _, labels = name.rstrip("}").partition("{")
        named = f"{metric}{{{','.join(filter(None, (BOX, labels)))}}}"
        series.append({"series": named, "values": f"{value!r} {value!r}"})
    return {"interval": "1m", "input_series": series, "promql_expr_test": checks}


def test_quick_faults_last_until_tor_is_asked() -> None:
    """Tor's probe is the slowest: it runs every two minutes."""
    seconds = {fault: [second for second in range(SLOWLY) if fault in faults_at(second)] for fault in QUICK}
    assert all(len(times) == SHORT > 120 for times in seconds.values())


def test_later_faults_follow_each_other() -> None:
    """One at a time and each in its turn, with a pause between two."""
    for number, fault in enumerate([*FAULTS, *FAULTS]):
        start = SLOWLY + number * (LASTS + PAUSE)
        assert faults_at(start) == faults_at(start + LASTS - 1) == {fault}
        assert faults_at(start + LASTS) == faults_at(start - 1) == set()


async def test_models_fit_their_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's directories are a box's, and what lies in them takes its place on the disk."""
    box = make(tmp_path / "box")
    box.use_own_disks()
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    before = await collect(box, "disk")
    box.model("new.gguf", 5e9)
    after = await collect(box, "disk")
    available = 'grid_filesystem_avail_bytes{device="/dev/nvme1n1p1",fstype="ext4",mountpoint="/ai"}'
    assert before[available] - after[available] == 5e9
    assert after['grid_directory_entry_size_bytes{entry="new.gguf",path="/ai/models"}'] == 5e9
    sizes = [value for name, value in after.items() if name.startswith("grid_directory_size_bytes")]
    used = after[available.replace("avail", "size")] - after[available]
    assert (
        after['grid_directory_size_bytes{path="/ai/models"}']
        < used
        < 0.8 * after[available.replace("avail", "size")]
    )
    assert len(sizes) == 2
    assert not any(str(tmp_path) in name for name in after)


async def test_a_hot_card_is_held_back_by_heat(box: FakeBox) -> None:
    """What holds it back is heat, and not its power limit."""
    box.gpu(1, "hot")
    card = {name: value for name, value in (await collect(box, "gpu")).items() if 'gpu="1"' in name}
    active = {name.split('"')[3] for name, value in card.items() if "throttle_active" in name and value}
    assert active == {"hw_slowdown", "hw_thermal_slowdown"}
    values = {name.partition("{")[0]: value for name, value in card.items() if "clock" not in name}
    assert values["grid_gpu_utilization_ratio"] == 0.97
    assert values["grid_gpu_power_draw_watts"] < 0.5 * values["grid_gpu_power_limit_watts"]


def test_story_ends_when_asked(box: FakeBox) -> None:
    """The block's end ends it, wherever it was."""
    messages: list[str] = []
    with running(Story(box, messages.append, lambda: None)):
        pass
    assert messages == []
