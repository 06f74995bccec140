"""SGLang: its own metrics. /health is never asked: it generates a token."""

from __future__ import annotations

from exporter.probes.llm.client import NOT_FOUND, OK, UNAUTHORIZED, UNAVAILABLE, Answer, Client, Failure
from exporter.probes.llm.identify import by_metrics, other_kind
from exporter.probes.llm.reading import Model, Reading, without_path
from exporter.probes.llm.text import Labels, Table, combined, models, parse
from exporter.probes.llm.vllm import totals
from exporter.system.threads import run_in_thread_if_large

PATHS = frozenset({"/ready", "/metrics", "/model_info"})
GIB = 1 << 30
OFF_HINT = "start it with --enable-metrics"
RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
MEMORY = ("weight_memory_usage_gb", "kv_cache_memory_usage_gb", "graph_memory_usage_gb")
PREFIX = "sglang:"
WANTED = frozenset(
    PREFIX + name
    for name in (
        "num_running_reqs", "num_queue_reqs", "token_usage", "max_total_num_tokens", "context_len",
        "prompt_tokens_total", "cached_tokens_total", "generation_tokens_total", "num_requests_total",
        "num_aborted_requests_total", *MEMORY,
        *(f"{name}_{part}" for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds",
                                        "queue_time_seconds") for part in ("sum", "count")),
    )
)  # fmt: skip


class Sglang:
    """Reads one server."""

    paths = PATHS

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        metrics = await client.get("/metrics")
        if metrics.status == OK and by_metrics(metrics.body) == "sglang":
            reading.up = True
            ready = await client.get("/ready")  # of newer versions; whose metrics answer is started
            reading.ready = ready.status != UNAVAILABLE
            reading.take(await run_in_thread_if_large(len(metrics.body), _models, metrics.body))
            reading.counts["loaded"] = len(reading.models)
            reading.complete = bool(reading.models)
        else:
            await self._read_without_metrics(client, reading, metrics)

    async def _read_without_metrics(self, client: Client, reading: Reading, metrics: Answer) -> None:
        info = await client.get("/model_info")
        known = info.status == UNAUTHORIZED or (info.status == OK and b'"model_path"' in info.body)
        starting = info.status == UNAVAILABLE
        if metrics.status not in (OK, NOT_FOUND, UNAVAILABLE) or not (known or starting):
            raise Failure("other_kind", other_kind(metrics if metrics.status == OK else info))
        reading.up = True
        reading.ready = not starting
        if not starting:
            reading.warn("metrics_off", "SGLang's metrics are switched off", OFF_HINT)


def _models(body: bytes) -> Reading:
    """The models of these metrics, apart from the rest: a thread may go on when nobody waits any more."""
    part = Reading()
    samples, whole = _parse(body)
    for name in models(samples):
        if model := part.model(without_path(name)):
            add_metrics(model, samples, name, whole=whole)
    return part


def add_metrics(model: Model, samples: Table, name: str, *, whole: bool) -> None:
    """Adds a model's metrics: sums over what shares the requests, the largest use of a cache.

    whole: whether the samples are of one rank, whose memory is then all that is known of.
    """
    model.state = "loaded"

    def value(family: str) -> float | None:
        return combined(samples, PREFIX + family, name)

    model.running = value("num_running_reqs")
    model.waiting = value("num_queue_reqs")
    model.prompt_tokens = value("prompt_tokens_total")
    model.cached_tokens = value("cached_tokens_total")
    model.generated_tokens = value("generation_tokens_total")
    model.kv_usage = combined(samples, f"{PREFIX}token_usage", name, max)
    model.kv_capacity = value("max_total_num_tokens")
    model.context = combined(samples, f"{PREFIX}context_len", name, max) or None
    finished = {"ok": value("num_requests_total"), "aborted": value("num_aborted_requests_total")}
    model.finished = {outcome: number for outcome, number in finished.items() if number is not None}
    parts = [value(family) for family in MEMORY]
    if parts[0] is not None and parts[1] is not None and whole:
        model.gpu = sum(part * GIB for part in parts if part is not None)
    model.first_token = totals(samples, f"{PREFIX}time_to_first_token_seconds", name)
    model.request = totals(samples, f"{PREFIX}e2e_request_latency_seconds", name)
    model.queue = totals(samples, f"{PREFIX}queue_time_seconds", name)


def _parse(body: bytes) -> tuple[Table, bool]:
    """The samples without repetitions, and whether they are of one rank alone."""
    table = parse(body, WANTED)
    ranks = {_rank(labels) for samples in table.values() for labels, _ in samples}
    return {name: _without_repetitions(samples) for name, samples in table.items()}, len(ranks) <= 1


def _without_repetitions(samples: list[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
    """Of ranks that repeat one number the first, and of priorities their total, where there is one."""
    if any(labels.get("priority") == "" for labels, _ in samples):
        samples = [(labels, value) for labels, value in samples if not labels.get("priority")]
    kept: dict[frozenset[tuple[str, str]], tuple[Labels, float]] = {}
    for labels, value in sorted(samples, key=lambda sample: _rank(sample[0])):
        key = frozenset(pair for pair in labels.items() if pair[0] not in RANKS)
        kept.setdefault(key, (labels, value))
    return list(kept.values())


def _rank(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(rank, "0") for rank in RANKS)
