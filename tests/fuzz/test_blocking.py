"""Whatever a reader is given, the event loop goes on: nothing holds the interpreter's lock for long."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.metrics.exposition import Renderer, join
from tests.fuzz.targets import TARGETS, Change, Fixtures, Target
from tests.fuzz.test_fuzz import PATTERNS, PROBES, long_texts

LENGTH = 1_000_000  # bytes
GAP = 0.1  # seconds of this process's time in which the loop may be held up

# Lines and pieces that were the worst for one reader or another.
WORST = [
    *(
        b"m " + b"1" * 40_000 + b"x\n",
        b"1",
        b"\\\\",
        b"\\n",
        b'"',
        b"[",
        b'a{b="c",',
        b"a 1\n",
        b"\n\n",
        b"\xff",
    ),
    *(b"Id=a\n\n", b"[N/A], ", b"cpu0 1 2 3\n", b"/docker/" + b"a" * 64, b"1 1 1:1 / / - a b c\n"),
]


@pytest.fixture
def calm() -> Iterator[None]:
    """Keeps the collector of garbage from visiting all that the tests have loaded, as the daemon does."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def longest_gap(reading: asyncio.Future[object]) -> float:
    """The most processor time that passed between two turns of the loop, until the reading is done."""
    longest, before = 0.0, time.process_time()
    while not reading.done():
        await asyncio.sleep(0)
        now = time.process_time()
        longest, before = max(longest, now - before), now
    return longest


async def read_and_render(target: Target, change: Change) -> None:
    """All that a run and a scrape do with what a tool printed."""
    rendered = await Renderer().render(await target(change))
    join([rendered])


@pytest.mark.parametrize("name", PROBES)
async def test_the_loop_goes_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm: None
) -> None:
    """A megabyte of the worst, or as much as its tool may print, holds the loop up for a moment at most."""
    fixtures = Fixtures(tmp_path, monkeypatch, random.Random(name), threads=True)  # noqa: S311 - not for secrets
    await keep_going(name, WORST, fixtures, slice(1, 2))


DISTINCT = {
    "series": ('a{{x="{}"}} 1\n', 60_000),
    "families": ("a{} 1\n", 90_000),
    "typed families": ("# TYPE a{0} gauge\na{0} 1\n", 33_000),
    "buckets": ('# TYPE h histogram\nh_bucket{{le="{}"}} 1\n', 22_000),
    "refused lines": ("{} 1\n", 90_000),
}


@pytest.mark.parametrize("kind", DISTINCT)
async def test_the_loop_goes_on_beside_much_output(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm: None
) -> None:
    """A megabyte that is good, too: many series, many families, or as many mistakes."""
    line, count = DISTINCT[kind]
    text = "".join(line.format(number) for number in range(count)).encode()[:LENGTH]
    target = TARGETS["commands"](Fixtures(tmp_path, monkeypatch, random.Random(1), threads=True))  # noqa: S311
    gap = await longest_gap(asyncio.ensure_future(read_and_render(target, lambda _: text)))
    assert gap < GAP, f"held the loop up for {gap:.2f} s"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PROBES)
async def test_the_loop_goes_on_whatever_comes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm: None
) -> None:
    """Any pattern, alone, after a good text and in the middle of one."""
    fixtures = Fixtures(tmp_path, monkeypatch, random.Random(), threads=True)  # noqa: S311 - not for secrets
    await keep_going(name, [*WORST, *PATTERNS], fixtures, slice(None))


async def keep_going(name: str, patterns: list[bytes], fixtures: Fixtures, which: slice) -> None:
    """Has a probe read each pattern, in some of the places; fails where the loop is held up for too long."""
    assert name in TARGETS, f"add a target for the kind {name} to tests/fuzz/targets.py"
    target = TARGETS[name](fixtures)
    for pattern in patterns:
        for change in long_texts(pattern, LENGTH)[which]:
            gap = await longest_gap(asyncio.ensure_future(read_and_render(target, change)))
            assert gap < GAP, f"{pattern[:20]!r} held the loop up for {gap:.2f} s"
