"""llama.cpp's server: one model, or a router of several; asks nothing that loads or wakes one."""

from __future__ import annotations

import re
from urllib.parse import quote

from exporter.probe import Note
from exporter.probes.llm.client import NOT_FOUND, OK, UNAUTHORIZED, UNAVAILABLE, Answer, Client, Failure
from exporter.probes.llm.identify import other_kind
from exporter.probes.llm.reading import Model, Reading, count, objects, table, text, without_path
from exporter.probes.llm.text import Table, combined, parse
from exporter.system.threads import run_in_thread_if_large

PATHS = frozenset({"/health", "/props", "/models", "/v1/models", "/metrics"})
BUILD = re.compile(r"b([0-9]{1,9})\b")
QUIET = 10524  # from this build on /metrics neither wakes a sleeping model nor keeps one awake
ROUTED = 8  # models whose metrics a router is asked for in one read
OFF_HINT = "start it with --metrics, or with LLAMA_ARG_ENDPOINT_METRICS=1 in its environment"
KEY_HINT = "name a file with the key: api_key_file"
STATES = {"loaded": "loaded", "loading": "loading", "sleeping": "sleeping", "failed": "failed"}
NOT_HERE = {"downloading"}
PREFIX = "llamacpp:"
WANTED = frozenset(
    PREFIX + name
    for name in (
        "prompt_tokens_total", "prompt_tokens_cached_total", "prompt_seconds_total", "tokens_predicted_total",
        "tokens_predicted_seconds_total", "requests_processing", "requests_deferred", "kv_cache_usage_ratio",
    )
)  # fmt: skip


class LlamaCpp:
    """Reads one server. metrics: whether its own metrics are asked for."""

    paths = PATHS

    def __init__(self, *, metrics: bool = True) -> None:
        self._metrics = metrics

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        health = await client.get("/health")
        if not _is_llama_cpp(health):
            raise Failure("other_kind", other_kind(health))
        reading.up = True
        reading.ready = health.status == OK
        if health.status == UNAVAILABLE:
            return
        props = await _object(await client.get("/props"))
        reading.version = text(props.get("build_info"))
        if props.get("role") == "router":
            await self._read_router(client, reading)
        else:
            await self._read_single(client, reading, props)

    async def _read_single(self, client: Client, reading: Reading, props: dict[str, object]) -> None:
        sleeping = props.get("is_sleeping")
        model = reading.model(model_name(props))
        if model is None:
            raise Failure("bad_answer", "llama.cpp names no model")
        model.state = "sleeping" if sleeping is True else "loaded"
        model.context = count(table(props.get("default_generation_settings")).get("n_ctx")) or None
        reading.counts["loaded"] = int(model.state == "loaded")
        reading.complete = True
        listed = objects((await _object(await client.get("/v1/models"))).get("data"))
        if listed:
            _add_meta(model, listed[0])
        wakes = isinstance(sleeping, bool) and not _is_quiet(reading.version, sleeping=sleeping)
        if not self._metrics:
            return
        if props.get("endpoint_metrics") is False:
            reading.warn("metrics_off", "llama.cpp's metrics are switched off", OFF_HINT)
        elif wakes:
            reading.notes.append(_waking(reading.version))
        else:
            await _read_metrics(client, "/metrics", model, reading)

    async def _read_router(self, client: Client, reading: Reading) -> None:
        listed = objects((await _object(await client.get("/models"))).get("data"))
        loaded: list[tuple[str, Model]] = []
        for item in listed:
            status = table(item.get("status"))
            state = "failed" if status.get("failed") is True else STATES.get(text(status.get("value")))
            if state is None:
                continue
            model = reading.model(item.get("id"))
            if model is not None:
                model.state = state
                _add_meta(model, item)
                if state == "loaded":
                    loaded.append((str(item["id"]), model))
        values = [text(table(item.get("status")).get("value")) for item in listed]
        reading.counts["loaded"] = values.count("loaded")
        reading.counts["disk"] = sum(value not in NOT_HERE for value in values)
        reading.complete = True
        if not self._metrics or not loaded:
            return
        if not _is_quiet(reading.version, sleeping=False):
            reading.notes.append(_waking(reading.version))
            return
        for name, model in loaded[:ROUTED]:
            # Without the last part it would load a model that was unloaded meanwhile.
            path = f"/metrics?model={quote(name, safe='')}&autoload=false"
            if not await _read_metrics(client, path, model, reading):
                break


async def _read_metrics(client: Client, path: str, model: Model, reading: Reading) -> bool:
    """Whether the metrics of a model are switched on."""
    answer = await client.get(path)
    if answer.status == UNAUTHORIZED:
        raise Failure("auth", "llama.cpp asks for a key", KEY_HINT)
    if answer.status in (NOT_FOUND, 501):
        reading.warn("metrics_off", "llama.cpp's metrics are switched off", OFF_HINT)
        return False
    if answer.status == OK:
        samples = await run_in_thread_if_large(len(answer.body), parse, answer.body, WANTED)
        if not samples:
            raise Failure("bad_answer", "llama.cpp's metrics hold none that is known")
        add_metrics(model, samples)
    return True


def add_metrics(model: Model, samples: Table) -> None:
    """Adds a model's own metrics. Its averages are left out: each scrape of them resets the next one's."""

    def value(name: str) -> float | None:
        return combined(samples, PREFIX + name, None)

    computed, cached = value("prompt_tokens_total"), value("prompt_tokens_cached_total")
    model.prompt_tokens = None if computed is None else computed + (cached or 0)
    model.cached_tokens = cached
    model.generated_tokens = value("tokens_predicted_total")
    model.prompt_seconds = value("prompt_seconds_total")
    model.generate_seconds = value("tokens_predicted_seconds_total")
    model.running = value("requests_processing")
    model.waiting = value("requests_deferred")
    model.kv_usage = value("kv_cache_usage_ratio")


def model_name(props: dict[str, object]) -> str:
    """The model's alias, else its file's name."""
    return without_path(text(props.get("model_alias")) or text(props.get("model_path")))


def _add_meta(model: Model, item: dict[str, object]) -> None:
    meta = table(item.get("meta"))
    model.disk = count(meta.get("size"))
    model.context = model.context or count(meta.get("n_ctx")) or None


def _is_llama_cpp(answer: Answer) -> bool:
    if answer.server:
        return answer.server.startswith("llama.cpp")
    loading = answer.status == UNAVAILABLE and b"Loading model" in answer.body[:500]  # behind a proxy
    return loading or (
        answer.status == OK and answer.body.strip() in (b'{"status":"ok"}', b'{"status": "ok"}')
    )


def _is_quiet(version: str, *, sleeping: bool) -> bool:
    """Whether to ask /metrics leaves the model as it is; of an unknown build, only while it is awake."""
    match = BUILD.match(version)
    build = int(match[1]) if match else 0
    return build >= QUIET or (build == 0 and not sleeping)


def _waking(version: str) -> Note:
    reason = "reading its metrics may wake its model or keep it from sleeping"
    return Note(
        f"the metrics of llama.cpp {version[:16]!a} are not read: {reason}",
        f"update it: b{QUIET} and later are safe",
    )


async def _object(answer: Answer) -> dict[str, object]:
    if answer.status == UNAUTHORIZED:
        raise Failure("auth", "llama.cpp asks for a key", KEY_HINT)
    if answer.status != OK:
        raise Failure("bad_answer", f"llama.cpp answered GET {answer.path} with {answer.status}")
    return await answer.json()
