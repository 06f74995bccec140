"""Whatever comes: an answer or an honest error, valid text, and no series twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from exporter.metrics.exposition import join, render
from exporter.probes import KINDS
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, Change, Fixtures, Target
from tests.record import record
from tests.strict import parsed

FEW, MANY = 200, 100_000
LONG, LONGER = 30_000, 1_000_000  # bytes
SECONDS = 5.0  # of processor time that a text may take
YAML = [name for name in TARGETS if "configuration" in name]  # its library takes 10 s for any megabyte
OTHERS = [name for name in TARGETS if name not in YAML]
PROBES = [kind.name for kind in KINDS]
PATTERNS = [
    *(b"{", b"[", b'"', b"\\", b"\n", b" ", b",", b"=", b"0", b"a", b"#", b"\0", b"\xff", b'{"a":', b"- "),
    *(b'a{b="', b'a{b="c",', b"&a [", b"a: b\n", b"250-a=b\n", b"\\u0000", b"Id=a\n\n", b"[N/A], "),
    *(b"1 1 1:1 / / - a b c\n", b'a b="c"} 1\n', b"WARNING: a\n", b"cpu0 1 2 3\n", b"/docker/" + b"a" * 64),
]  # fmt: skip


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The same in each run, another for each test."""
    return random.Random(request.node.name)  # noqa: S311 - not for secrets


@pytest.fixture
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: random.Random
) -> Target:
    return TARGETS[request.param](Fixtures(tmp_path, monkeypatch, rng))


def check(families: Iterable[Metric]) -> None:
    """What came of it is valid, and the probe itself made no series twice."""
    families = list(families)
    samples = [sample for family in families for sample in family.samples]
    assert len({(sample.name, frozenset(sample.labels.items())) for sample in samples}) == len(samples)
    assert len({family.name for family in families}) == len(families)
    if families:
        parsed(join([render(families)]).decode())


async def fuzz(target: Target, rng: random.Random, count: int) -> int:
    """Has it read so many inputs; returns how many gave values."""
    good: dict[bytes, None] = {}
    succeeded = 0
    for _ in range(count):
        read: list[bytes] = []

        def change(data: bytes, read: list[bytes] = read) -> bytes:
            good[data] = None
            read.append(mutated(rng, data, list(good)) if rng.random() < 0.9 else data)
            return read[-1]

        try:
            families = list(await target(change))
            check(families)
        except BaseException:
            print("after reading", read)
            raise
        succeeded += bool(families)
    return succeeded


@pytest.mark.parametrize("target", TARGETS, indirect=True)
async def test_mutations(target: Target, rng: random.Random, request: pytest.FixtureRequest) -> None:
    """Real answers, damaged in every way, the same each time; a probe makes something of some of them."""
    succeeded = await fuzz(target, rng, FEW)
    assert bool(succeeded) == (request.node.callspec.params["target"] in PROBES)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("target", TARGETS, indirect=True)
async def test_many_mutations(target: Target, request: pytest.FixtureRequest) -> None:
    """A hundred thousand, others each time; where one fails it is printed."""
    started = time.monotonic()
    succeeded = await fuzz(target, random.Random(), MANY)  # noqa: S311 - not for secrets
    metrics = f", {succeeded:,} of which gave metrics" if succeeded else ""
    took = time.monotonic() - started
    record(f"fuzz: {request.node.callspec.params['target']}", f"{MANY:,} inputs{metrics}, in {took:.1f} s")


def long_texts(pattern: bytes, length: int) -> list[Change]:
    """The pattern alone, and where a good text could go on."""
    data = pattern * (length // len(pattern))
    return [lambda _: data, lambda good: good + data, lambda good: good[: len(good) // 2] + data]


async def lengthy(target: Target, length: int) -> None:
    for pattern in PATTERNS:
        for change in long_texts(pattern, length):
            started = time.process_time()
            check(await target(change))
            took = time.process_time() - started
            assert took < SECONDS, f"{pattern!r} took {took:.1f} s"


@pytest.mark.parametrize("target", OTHERS, indirect=True)
async def test_long_texts(target: Target) -> None:
    """Much of anything is read or refused in a moment: nothing takes quadratic time."""
    await lengthy(target, LONG)


@pytest.mark.long
@pytest.mark.parametrize("target", OTHERS, indirect=True)
async def test_longer_texts(target: Target) -> None:
    """A megabyte of anything, too."""
    await lengthy(target, LONGER)


@pytest.mark.long
@pytest.mark.parametrize("target", YAML, indirect=True)
async def test_long_configurations(target: Target) -> None:
    """A configuration much longer than any, too."""
    await lengthy(target, LONGER // 10)
