"""The families of all kinds of servers, under one set of names."""

from __future__ import annotations

from prometheus_client.core import Metric, SummaryMetricFamily

from exporter.metrics.families import Family, Samples, counter, gauge
from exporter.probes.llm.reading import REASONS, STATES, Model, Reading, Totals

OWN = "the server's own word, cached"
UP = gauge(
    "grid_llm_up",
    "1 if the server answered as its kind, also while it loads; 0 if not (HTTP, cached).",
    "server",
)
READY = gauge(
    "grid_llm_ready", "1 if the server takes requests, 0 while it starts or loads (HTTP, cached).", "server"
)
INFO = gauge(
    "grid_llm_server_info",
    "Always 1; the server's kind and version, and the container or systemd unit of its process"
    " (HTTP, /proc, cached).",
    "server", "kind", "version", "container", "unit",
)  # fmt: skip
READ_ERROR = gauge(
    "grid_llm_read_error",
    "1 for each reason why something of the server is not known, else 0 (HTTP, cached).",
    "server",
    "reason",
)
READ_SECONDS = gauge("grid_llm_read_seconds", "How long the last read of the server took (HTTP).", "server")
STATE = gauge(
    "grid_llm_model_state",
    f"1 for the model's state, else 0; models that are not loaded are left out ({OWN}).",
    "server", "model", "state",
)  # fmt: skip
MODELS = gauge(
    "grid_llm_models",
    f"Models of the server, by where they are: loaded, disk or cloud ({OWN}).",
    "server",
    "where",
)
MEMORY = gauge(
    "grid_llm_model_memory_bytes",
    "Memory that the loaded model takes, on GPUs or on the host"
    f" ({OWN}: planned or reported by the engine, not measured; compare grid_gpu_process_memory_bytes).",
    "server", "model", "location",
)  # fmt: skip
DISK = gauge("grid_llm_model_disk_bytes", f"Size of the model on disk ({OWN}).", "server", "model")
CONTEXT = gauge("grid_llm_model_context_tokens", f"Context of the running model ({OWN}).", "server", "model")
EXPIRES = gauge(
    "grid_llm_model_expires_timestamp_seconds",
    f"When the idle model is unloaded, Unix time; in the past while it is busy, absent when pinned ({OWN}).",
    "server",
    "model",
)
PINNED = gauge(
    "grid_llm_model_pinned",
    f"1 if the model is never unloaded for idleness, else 0 ({OWN}).",
    "server",
    "model",
)
LOADS = counter(
    "grid_llm_model_loads_total",
    "Loads of the model that were seen between two reads since the exporter started.",
    "server",
    "model",
)
UNLOADS = counter(
    "grid_llm_model_unloads_total",
    "Unloads of the model that were seen between two reads since the exporter started: expired, early"
    " (evicted, stopped or reloaded before its time), server_down (or restarted), or unknown where no time"
    " was reported.",
    "server", "model", "reason",
)  # fmt: skip
REQUESTS = gauge(
    "grid_llm_requests", f"Requests that run, or wait for their turn ({OWN}).", "server", "model", "state"
)
FINISHED = counter(
    "grid_llm_requests_finished_total",
    f"Requests since the server started, by their outcome: ok, aborted or error ({OWN}).",
    "server", "model", "outcome",
)  # fmt: skip
PROMPT = counter(
    "grid_llm_prompt_tokens_total",
    f"Tokens of prompts since the server started, cached ones included where it counts them ({OWN}).",
    "server",
    "model",
)
CACHED = counter(
    "grid_llm_prompt_cached_tokens_total",
    f"Tokens of prompts that were in a cache, since the server started ({OWN}).",
    "server",
    "model",
)
GENERATED = counter(
    "grid_llm_generated_tokens_total",
    f"Tokens generated since the server started ({OWN}).",
    "server",
    "model",
)
PROMPT_SECONDS = counter(
    "grid_llm_prompt_seconds_total",
    f"Time spent on prompts since the server started, of parallel requests summed ({OWN}).",
    "server",
    "model",
)
GENERATE_SECONDS = counter(
    "grid_llm_generate_seconds_total",
    f"Time spent on generating since the server started, of parallel requests summed ({OWN}).",
    "server",
    "model",
)
KV_USAGE = gauge(
    "grid_llm_kv_cache_usage_ratio",
    f"Use of the key-value cache, 0 to 1, of the fullest engine ({OWN}).",
    "server",
    "model",
)
KV_CAPACITY = gauge(
    "grid_llm_kv_cache_capacity_tokens",
    f"Tokens that the key-value caches of all engines hold ({OWN}).",
    "server",
    "model",
)
FIRST_TOKEN = gauge(
    "grid_llm_time_to_first_token_seconds",
    f"Time from a request to its first token: a summary's sum and count ({OWN}).",
    "server",
    "model",
)
REQUEST_SECONDS = gauge(
    "grid_llm_request_seconds",
    f"Time from a request to its end: a summary's sum and count ({OWN}).",
    "server",
    "model",
)
QUEUE_SECONDS = gauge(
    "grid_llm_queue_seconds",
    f"Time that requests waited for their turn: a summary's sum and count ({OWN}).",
    "server",
    "model",
)


def add_reading(samples: Samples, server: str, reading: Reading) -> list[Metric]:
    """Adds all that was read; returns the summaries, which are families of another type."""
    samples.add(UP, reading.up, server)
    samples.add(READY, reading.ready if reading.up else None, server)
    for reason in REASONS:
        samples.add(READ_ERROR, reason in reading.errors, server, reason)
    summaries = _Summaries()
    if reading.up:
        for where, number in reading.counts.items():
            samples.add(MODELS, number, server, where)
        for name, model in reading.models.items():
            _add_model(samples, summaries, model, server, name)
    return summaries.families()


def _add_model(samples: Samples, summaries: _Summaries, model: Model, *labels: str) -> None:
    samples.states(STATE, model.state, STATES, *labels)
    samples.add(MEMORY, model.gpu, *labels, "gpu")
    samples.add(MEMORY, model.host, *labels, "host")
    samples.add(REQUESTS, model.running, *labels, "running")
    samples.add(REQUESTS, model.waiting, *labels, "waiting")
    for outcome, number in model.finished.items():
        samples.add(FINISHED, number, *labels, outcome)
    for family, value in (
        (DISK, model.disk),
        (CONTEXT, model.context),
        (EXPIRES, model.expires),
        (PINNED, model.pinned),
        (PROMPT, model.prompt_tokens),
        (CACHED, model.cached_tokens),
        (GENERATED, model.generated_tokens),
        (PROMPT_SECONDS, model.prompt_seconds),
        (GENERATE_SECONDS, model.generate_seconds),
        (KV_USAGE, model.kv_usage),
        (KV_CAPACITY, model.kv_capacity),
    ):
        samples.add(family, value, *labels)
    summaries.add(FIRST_TOKEN, model.first_token, *labels)
    summaries.add(REQUEST_SECONDS, model.request, *labels)
    summaries.add(QUEUE_SECONDS, model.queue, *labels)


class _Summaries:
    """Families of a sum and a count."""

    def __init__(self) -> None:
        self._families: dict[str, SummaryMetricFamily] = {}

    def add(self, family: Family, totals: Totals | None, *labels: str) -> None:
        if totals is not None:
            metric = self._families.setdefault(
                family.name, SummaryMetricFamily(family.name, family.help, labels=family.labels)
            )
            metric.add_metric(labels, count_value=totals[1], sum_value=totals[0])  # type: ignore[arg-type]

    def families(self) -> list[Metric]:
        return list(self._families.values())
