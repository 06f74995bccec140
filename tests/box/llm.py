"""The LLM servers of the fake box: an Ollama and a vLLM, which answer over HTTP what their time has come for.

Ollama loads one model, which expires, and then one that spills to the host's memory; one is pinned. vLLM is
busy, and its queue grows and gets shorter again. All of it comes round every ten minutes. vLLM answers while
its container runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.box import containers
from tests.box.box import FakeBox
from tests.box.files import put
from tests.box.sessions import start
from tests.box.stores import OLLAMA, runner
from tests.box.waves import total, wave
from tests.probes.llm import bodies
from tests.probes.llm.bodies import GB
from tests.probes.llm.replay import Answer, Replay, as_json, serving

ROUND = 600  # seconds
PINNED = "2319-03-10T00:11:47.1Z"
KEEP_ALIVE = 120
# When a model is loaded, and for how long it is busy; its memory in all and on the card, GB. In seconds.
LOADS = {"qwen3:8b": (60, 40, 7.1, 7.1), "qwen3:30b": (260, 120, 20.4, 12.9)}
EMBEDDING = ("nomic-embed-text:latest", 0.6, 0.6)
PIDS = {name: 52_000 + number for number, name in enumerate((EMBEDDING[0], *LOADS))}
QUEUE = (70, 230, 14)  # from when until when requests wait, and how many at most
MODEL, BLOCKS = "Qwen/Qwen3-14B-AWQ", 4200
REQUESTS = 0.7  # a second
PROMPT, GENERATED = 1290, 340  # tokens of a request, read and generated


def ollama(second: float, moment: float) -> dict[str, Answer]:
    """Ollama's answers, so many seconds after it began."""
    models = [bodies.loaded(name, round(size), round(on_card), ends) for name, size, on_card, ends in
              loaded(second, moment)]  # fmt: skip
    tags = [bodies.tag(name, round(size * GB)) for name, size in OLLAMA.items()]
    return {**bodies.ollama(*models), "/api/tags": as_json({"models": tags})}


def loaded(second: float, moment: float) -> list[tuple[str, float, float, str]]:
    """What Ollama has loaded: name, bytes in all and on the card, and when it is unloaded."""
    name, size, on_card = EMBEDDING
    found = [(name, size * GB, on_card * GB, PINNED)]
    into = second % ROUND
    for name, (begins, busy, size, on_card) in LOADS.items():
        left = begins + busy + KEEP_ALIVE - into
        if into >= begins and left > 0:
            ends = datetime.fromtimestamp(moment + min(left, KEEP_ALIVE), UTC).isoformat()
            found.append((name, size * GB, on_card * GB, ends.replace("+00:00", "Z")))
    return found


def waiting(second: float) -> float:
    """How many requests wait at vLLM: more and more, and then fewer again."""
    start, end, most = QUEUE
    into = second % ROUND
    return max(0.0, round(most * (1 - abs(2 * (into - start) / (end - start) - 1))))


def vllm(since: float, moment: float) -> dict[str, Answer]:
    """The answers of vLLM, which began at ``since``."""
    labels = f'engine="0",model_name="{MODEL}"'
    second = moment - since
    finished = total("requests", since, moment, REQUESTS)
    queued = 5 * sum(waiting(at) for at in range(0, int(second), 5))  # seconds, of all that waited
    prompt = PROMPT * finished
    samples: dict[str, float | str] = {
        f"num_requests_running{{{labels}}}": round(wave("running", moment, 1, 9)),
        f"num_requests_waiting{{{labels}}}": waiting(second),
        f"kv_cache_usage_perc{{{labels}}}": wave("kv", moment, 0.2, 0.9) if waiting(second) < 5 else 0.99,
        f"prompt_tokens_total{{{labels}}}": prompt,
        f"prompt_tokens_cached_total{{{labels}}}": 0.4 * prompt,
        f"generation_tokens_total{{{labels}}}": GENERATED * finished,
        f"request_prefill_time_seconds_sum{{{labels}}}": 0.2 * finished,
        f"request_decode_time_seconds_sum{{{labels}}}": 5.2 * finished,
        f'cache_config_info{{block_size="16",engine="0",num_gpu_blocks="{BLOCKS}"}}': 1,
        f'engine_sleep_state{{{labels},sleep_state="awake"}}': 1,
        f'request_success_total{{{labels},finished_reason="stop"}}': finished // 1,
        f'request_success_total{{{labels},finished_reason="abort"}}': finished // 50,
        f'request_success_total{{{labels},finished_reason="error"}}': finished // 400,
    }  # fmt: skip
    for name, seconds in (
        ("time_to_first_token_seconds", 0.3 * finished + queued),
        ("e2e_request_latency_seconds", 5.5 * finished + queued),
        ("request_queue_time_seconds", 0.02 * finished + queued),
    ):
        samples |= {f"{name}_sum{{{labels}}}": seconds, f"{name}_count{{{labels}}}": finished // 1}
    data = [{"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 32768}]
    return {**bodies.vllm(bodies.text("vllm:", samples)), "/v1/models": as_json({"data": data})}


class Living(Replay):
    """Answers what ``current`` returns at the time."""

    def __init__(self, current: Callable[[], dict[str, Answer]]) -> None:
        """A server that has not been asked yet."""
        Replay.__init__(self, {})
        self.current = current

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request."""
        self.answers = self.current()
        self.asked.clear()
        self.headers.clear()
        return await Replay.handle(self, request)


class Servers:
    """Both servers. They follow the box: its card holds what Ollama has loaded, vLLM runs in a container."""

    def __init__(self, box: FakeBox) -> None:
        """Servers that do not run yet."""
        self.box = box
        self.since = self.vllm_since = box.now()
        self.ollama = Living(lambda: ollama(box.now() - self.since, box.now()))
        self.vllm = Living(lambda: vllm(self.vllm_since, box.now()))
        self._all, self._vllm = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()
        self._answers = False

    async def start(self) -> None:
        """Starts both."""
        await self._all.enter_async_context(serving(self.ollama))
        await self.follow()

    async def stop(self) -> None:
        """Stops both."""
        await self._vllm.aclose()
        await self._all.aclose()

    async def follow(self) -> None:
        """Brings them to the state that the box is in now."""
        moment = self.box.now()
        held = {name: on_card / 2**20 for name, _, on_card, _ in loaded(moment - self.since, moment)}
        lines = (f"{PIDS[name]} {used:.0f}\n" for name, used in held.items())
        put(self.box.directory / "gpu/ollama", "".join(lines))
        runs: bool = containers.load(self.box.directory, "vllm")["State"]["Running"]
        if self._answers and not runs:
            await self._vllm.aclose()
        elif runs and not self._answers:
            self.vllm_since = moment
            port = urlsplit(self.vllm.url).port or 0  # the one that it had before
            await self._vllm.enter_async_context(serving(self.vllm, port))
        self._answers = runs


@contextlib.contextmanager
def served(box: FakeBox) -> Iterator[Callable[[], None]]:
    """Serves both meanwhile, and has the exporter ask them; gives what has them follow the box."""
    for name, pid in PIDS.items():
        start(box.directory, pid, "ollama", f"/usr/bin/ollama {runner(name)}")
    servers, loop = Servers(box), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        run(servers.start())
        box.configure(servers={"ollama": servers.ollama.url, "vllm": servers.vllm.url})
        yield lambda: run(servers.follow())
    finally:
        run(servers.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
