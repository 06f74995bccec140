"""Load on a server: a storm by wrk, and patient clients for servers that take seconds for an answer.

In both every client keeps one connection and asks again as soon as it is answered.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT = 60  # seconds until wrk gives a request up
ENCODINGS = {"identity": "plain", "gzip": "gzip"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. rounds: of each. seconds: of a storm at least. clients: how many at a time."""

    rounds: int = 5
    seconds: int = 1
    clients: Sequence[int] = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. rate: answers a second. p50, p99: seconds. failures: all but answers of 2xx."""

    rate: float
    p50: float
    p99: float
    failures: int


def storm(url: str, clients: int, seconds: int, encoding: str) -> Load:
    """So many clients for so long, by wrk: one written in Python would take more time than the server."""
    words = ["wrk", f"-c{clients}", "-t1", f"-d{seconds}s", f"--timeout={TIMEOUT}s", f"--script={SCRIPT}"]
    output = subprocess.run(
        [*words, "--header", f"Accept-Encoding: {encoding}", url], capture_output=True, text=True, check=True
    )
    result = json.loads(output.stdout.splitlines()[-1])
    rate = result["requests"] / result["micros"] * 1e6
    return Load(rate, result["p50"] / 1e6, result["p99"] / 1e6, result["failures"])


def stand_in_line(url: str, clients: int, seconds: float, encoding: str) -> Load:
    """So many clients for so long, for servers that may not even answer in this time.

    What is not answered in the end counts with the time that it waited: p50 and p99 are the least possible.
    """
    return asyncio.run(_stand_in_line(url, clients, seconds, encoding))


async def _stand_in_line(url: str, clients: int, seconds: float, encoding: str) -> Load:
    asked: dict[int, float] = {}
    answered: list[float] = []
    failures = 0

    async def client(number: int) -> None:
        nonlocal failures
        while True:
            asked[number] = time.monotonic()
            async with session.get(url, headers={"Accept-Encoding": encoding}) as answer:
                await answer.read()
            answered.append(time.monotonic() - asked[number])
            failures += not answer.ok

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        tasks = [asyncio.create_task(client(number)) for number in range(clients)]
        broken, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        waited = [time.monotonic() - start for start in asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in broken:
        task.result()
    times = sorted([*answered, *waited])
    return Load(len(answered) / seconds, _share(times, 0.5), _share(times, 0.99), failures)


def _share(times: Sequence[float], share: float) -> float:
    """The time that this share of the requests did not exceed."""
    return times[min(int(len(times) * share), len(times) - 1)]
