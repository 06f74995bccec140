"""vLLM: its own metrics, of all engines together, whose names differ by version."""

from __future__ import annotations

import re

from exporter.probes.llm.client import OK, UNAUTHORIZED, Client, Failure
from exporter.probes.llm.identify import by_metrics, other_kind
from exporter.probes.llm.reading import Model, Reading, Totals, count, objects, text, without_path
from exporter.probes.llm.text import Table, combined, first, models, parse
from exporter.system.threads import run_in_thread_if_large

PATHS = frozenset({"/version", "/metrics", "/v1/models"})
OUTCOMES = {"stop": "ok", "length": "ok", "repetition": "ok", "abort": "aborted", "error": "error"}
SUMS = {
    "first_token": "time_to_first_token_seconds",
    "request": "e2e_request_latency_seconds",
    "queue": "request_queue_time_seconds",
}
PREFIX = "vllm:"
BARE = re.compile(rb"(?:(?:#|python_|process_|http_)[^\n]*+\n|\n)*+")
WANTED = frozenset(
    PREFIX + name
    for name in (
        "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "gpu_cache_usage_perc",
        "prompt_tokens_cached_total", "prefix_cache_hits_total", "gpu_prefix_cache_hits_total",
        "prompt_tokens_total", "generation_tokens_total", "request_success_total", "engine_sleep_state",
        "cache_config_info", "request_prefill_time_seconds_sum", "request_decode_time_seconds_sum",
        *(f"{name}_{part}" for name in SUMS.values() for part in ("sum", "count")),
    )
)  # fmt: skip


class Vllm:
    """Reads one server."""

    paths = PATHS

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        version = await client.get("/version")
        metrics = await client.get("/metrics")
        kind = by_metrics(metrics.body)
        bare = version.status == metrics.status == OK and b'"version"' in version.body[:500]
        bare = bare and BARE.fullmatch(metrics.body) is not None  # it has just started
        if kind != "vllm" and not bare:
            raise Failure("other_kind", other_kind(metrics if metrics.status == OK else version))
        reading.up = reading.ready = True
        if version.status == OK:
            reading.version = text((await version.json()).get("version"))
        reading.take(await run_in_thread_if_large(len(metrics.body), _models, metrics.body))
        reading.counts["loaded"] = sum(it.state == "loaded" for it in reading.models.values())
        reading.complete = bool(reading.models)
        await self._read_context(client, reading)

    async def _read_context(self, client: Client, reading: Reading) -> None:
        answer = await client.get("/v1/models")
        if answer.status == UNAUTHORIZED:
            hint = "name a file with the key: api_key_file"
            raise Failure("auth", "vLLM asks for a key before it lists its models", hint)
        if answer.status != OK:
            raise Failure("bad_answer", f"vLLM answered GET {answer.path} with {answer.status}")
        for item in objects((await answer.json()).get("data")):
            if model := reading.models.get(without_path(text(item.get("id")))):
                model.context = count(item.get("max_model_len")) or None


def _models(body: bytes) -> Reading:
    """The models of these metrics, apart from the rest: a thread may go on when nobody waits any more."""
    part = Reading()
    samples = parse(body, WANTED)
    for name in models(samples):
        if model := part.model(without_path(name)):
            add_metrics(model, samples, name)
    return part


def add_metrics(model: Model, samples: Table, name: str) -> None:
    """Adds a model's metrics: sums over its engines, the largest use of a cache."""
    awake = combined(samples, f"{PREFIX}engine_sleep_state", name, min, sleep_state="awake")
    model.state = "sleeping" if awake == 0 else "loaded"

    def value(*names: str) -> float | None:
        return first(samples, name, *(PREFIX + it for it in names))

    model.running = value("num_requests_running")
    model.waiting = value("num_requests_waiting")
    model.prompt_tokens = value("prompt_tokens_total")
    model.cached_tokens = value(
        "prompt_tokens_cached_total", "prefix_cache_hits_total", "gpu_prefix_cache_hits_total"
    )
    model.generated_tokens = value("generation_tokens_total")
    model.prompt_seconds = value("request_prefill_time_seconds_sum")
    model.generate_seconds = value("request_decode_time_seconds_sum")
    for usage in ("kv_cache_usage_perc", "gpu_cache_usage_perc"):
        if model.kv_usage is None:
            model.kv_usage = combined(samples, PREFIX + usage, name, max)
    model.kv_capacity = _capacity(samples, name)
    model.finished = _finished(samples, name)
    model.first_token, model.request, model.queue = (
        totals(samples, PREFIX + SUMS[it], name) for it in ("first_token", "request", "queue")
    )


def totals(samples: Table, family: str, name: str) -> Totals | None:
    """A histogram's sum and count."""
    seconds, number = combined(samples, f"{family}_sum", name), combined(samples, f"{family}_count", name)
    return None if seconds is None or number is None else (seconds, number)


def _finished(samples: Table, name: str) -> dict[str, float | None]:
    finished: dict[str, float | None] = {}
    for reason, outcome in OUTCOMES.items():
        value = combined(samples, f"{PREFIX}request_success_total", name, finished_reason=reason)
        if value is not None:
            finished[outcome] = (finished.get(outcome) or 0) + value
    return finished


def _capacity(samples: Table, name: str) -> float | None:
    """Tokens that all engines' caches hold; None where one of them doesn't tell."""
    sizes = []
    for labels, _ in samples.get(f"{PREFIX}cache_config_info", ()):
        if labels.get("model_name", name) == name:
            blocks, size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
            if not (blocks.isascii() and blocks.isdigit() and size.isascii() and size.isdigit()):
                return None
            sizes.append(float(blocks[:12]) * float(size[:12]))
    return sum(sizes) if sizes else None
