"""Each kind of server, in several versions: what it answers, value by value, and what it was asked."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from exporter.probe import Host, ProbeError, Result
from tests.probes.llm import bodies
from tests.probes.llm.bodies import GB, HARMFUL
from tests.probes.llm.replay import Answer, Replay, as_json, collect, probe, serving
from tests.series import series

REASONS = (
    "auth", "bad_answer", "forbidden_host", "metrics_off", "other_kind", "refused", "timeout", "too_large",
)  # fmt: skip
SERVER = re.compile(r',server="s"|server="s",?')
STATES = ("failed", "loaded", "loading", "sleeping", "unloading")
ALLOWED = {
    "ollama": {"/", "/api/version", "/api/ps", "/api/tags"},
    "llama.cpp": {"/health", "/props", "/v1/models", "/models", "/metrics"},
    "llama-swap": {"/running", "/api/version"},
    "vllm": {"/version", "/metrics", "/v1/models"},
    "sglang": {"/ready", "/metrics", "/model_info"},
    "openai": {"/v1/models"},
}


async def read(kind: str, answers: dict[str, Answer], **server: Any) -> tuple[dict[str, float], Result]:
    """The values of one run on a server of this kind, and the result; what is asked is harmless."""
    async with serving(Replay(answers)) as replay:
        result = await collect(replay.url, kind, **server)
    assert {line.partition(" ")[2].partition("?")[0] for line in replay.asked} <= ALLOWED[kind]
    assert all(line.startswith("GET ") for line in replay.asked)
    assert replay.most_parallel == 1
    return values(result), result


def values(result: Result | ProbeError) -> dict[str, float]:
    """The series without ``grid_llm_`` and the label ``server``; without how long it took, and who it is."""
    every = series(result.families)
    return {
        SERVER.sub("", name.removeprefix("grid_llm_")): value
        for name, value in every.items()
        if not name.startswith(("grid_llm_read_seconds", "grid_llm_server_info"))
    }


def basics(*errors: str, up: int = 1, ready: int | None = 1) -> dict[str, float]:
    """What every server has."""
    expected = {f'read_error{{reason="{reason}"}}': float(reason in errors) for reason in REASONS}
    return {"up{}": up, **({} if ready is None else {"ready{}": ready}), **expected}


def state(model: str, present: str) -> dict[str, float]:
    """The series of a model's states."""
    return {f'model_state{{model="{model}",state="{it}"}}': float(it == present) for it in STATES}


def unloads(model: str, loads: int = 0, **reasons: int) -> dict[str, float]:
    """The series of what was seen of a model."""
    every = dict.fromkeys(("expired", "early", "unknown", "server_down"), 0) | reasons
    counted = {f'model_unloads_total{{model="{model}",reason="{it}"}}': n for it, n in every.items()}
    return {f'model_loads_total{{model="{model}"}}': loads, **counted}


async def test_ollama() -> None:
    """What is loaded and where, pinned or not, and what is on disk; models of the cloud are no disk's."""
    answers = bodies.ollama(
        bodies.loaded("llama3:8b", 6 * GB, 4 * GB, "2090-01-02T03:04:05.123456789+01:00"),
        bodies.loaded("hf.co/acme/tiny:q4", GB, GB, "2319-03-10T00:11:47.1Z", 1024),
    )
    got, result = await read("ollama", answers)
    assert got == {
        **basics(),
        'models{where="loaded"}': 2,
        'models{where="disk"}': 2,
        'models{where="cloud"}': 1,
        **state("llama3:8b", "loaded"),
        'model_memory_bytes{location="gpu",model="llama3:8b"}': 4 * GB,
        'model_memory_bytes{location="host",model="llama3:8b"}': 2 * GB,
        'model_context_tokens{model="llama3:8b"}': 8192,
        'model_pinned{model="llama3:8b"}': 1,
        'model_disk_bytes{model="llama3:8b"}': 5 * GB,
        'model_disk_bytes{model="acme/coder:q4"}': 2 * GB,
        **state("hf.co/acme/tiny:q4", "loaded"),
        'model_memory_bytes{location="gpu",model="hf.co/acme/tiny:q4"}': GB,
        'model_memory_bytes{location="host",model="hf.co/acme/tiny:q4"}': 0,
        'model_context_tokens{model="hf.co/acme/tiny:q4"}': 1024,
        'model_pinned{model="hf.co/acme/tiny:q4"}': 1,
        **unloads("llama3:8b"),
        **unloads("hf.co/acme/tiny:q4"),
    }
    assert result.notes == ()


async def test_ollama_with_a_time_of_expiry() -> None:
    """The time with its nanoseconds and offset; one that has passed while the model is busy stands."""
    got, _ = await read(
        "ollama", bodies.ollama(bodies.loaded("a:b", 9, 0, "2025-10-17T16:47:07.93355-07:00"))
    )
    assert got['model_expires_timestamp_seconds{model="a:b"}'] == pytest.approx(1760744827.93355, abs=1e-5)
    assert got['model_pinned{model="a:b"}'] == 0


@pytest.mark.parametrize("models", [[], None])
async def test_ollama_without_a_loaded_model(models: list[object] | None) -> None:
    """Nothing loaded is 0, also where the list is null."""
    answers = {**bodies.ollama(), "/api/ps": as_json({"models": models})}
    got, _ = await read("ollama", answers)
    assert got['models{where="loaded"}'] == 0
    assert not [name for name in got if name.startswith("model_state")]


@pytest.mark.parametrize(("version", "warned"), [("0.1.38", 1), ("0.32.3", 1), ("0.32.4", 0), ("0.0.0", 0)])
async def test_an_old_ollama_is_asked_rarely(version: str, warned: int) -> None:
    """Before 0.32.4 /api/ps may crash it: it is not asked again within seconds, and a note says so."""
    async with serving(Replay(bodies.ollama(version=version))) as replay:
        run = probe(replay.url, "ollama")
        for _ in range(3):
            result = await run()
    assert len(result.notes) == warned
    assert replay.asked.count("GET /api/ps") == (1 if warned else 3)
    assert replay.asked.count("GET /api/tags") == 1
    assert replay.asked.count("GET /") == 1


async def test_ollama_that_refuses_the_host_name() -> None:
    """A 403 is about the URL's host, not about a key."""
    async with serving(Replay({"/api/version": Answer("", 403)})) as replay:
        with pytest.raises(ProbeError, match="refuses the host name") as caught:
            await collect(replay.url, "ollama")
    assert values(caught.value) == basics("forbidden_host", ready=None)


LLAMA = {
    'model_context_tokens{model="tiny"}': 512,
    'model_disk_bytes{model="tiny"}': 563968,
    'models{where="loaded"}': 1,
    **unloads("tiny"),
}
LLAMA_METRICS = {
    'requests{model="tiny",state="running"}': 2,
    'requests{model="tiny",state="waiting"}': 3,
    'prompt_tokens_total{model="tiny"}': 60,
    'prompt_cached_tokens_total{model="tiny"}': 12,
    'generated_tokens_total{model="tiny"}': 1012730,
    'prompt_seconds_total{model="tiny"}': 0.25,
    'generate_seconds_total{model="tiny"}': 12.5,
}


@pytest.mark.parametrize("build", ["b11434-abc", "b0-unknown", "b10524-0"])
async def test_llama_cpp(build: str) -> None:
    """One model with its own metrics: cached tokens are part of the prompts, averages are left out."""
    got, result = await read("llama.cpp", bodies.llama_cpp(build))
    assert got == {**basics(), **LLAMA, **state("tiny", "loaded"), **LLAMA_METRICS}
    assert result.notes == ()


@pytest.mark.parametrize(
    ("build", "sleeping", "asked"),
    [
        ("b10523-x", False, False),
        ("b9093-x", True, False),
        ("b0-unknown", True, False),
        ("b0-unknown", False, True),
        ("b11434", True, True),
        ("b3000-x", None, True),
    ],
)
async def test_llama_cpp_is_not_woken(build: str, sleeping: bool | None, asked: bool) -> None:  # noqa: FBT001
    """A build that its metrics wake, or keep awake, is not asked for them, and a note says so."""
    got, result = await read("llama.cpp", bodies.llama_cpp(build, sleeping=sleeping))
    assert any(name.startswith("prompt_tokens") for name in got) is asked
    assert len(result.notes) == (not asked)
    assert got == {
        **basics(),
        **LLAMA,
        'models{where="loaded"}': sleeping is not True,
        **state("tiny", "sleeping" if sleeping else "loaded"),
        **(LLAMA_METRICS if asked else {}),
    }


async def test_llama_cpp_of_2024() -> None:
    """Integers, the key-value cache that later builds hide, and prompts without the cached ones."""
    metrics = bodies.llama_metrics("48", None)
    metrics.body = f"{metrics.body!s}llamacpp:kv_cache_usage_ratio 0.375\nllamacpp:kv_cache_tokens 96\n"
    got, _ = await read("llama.cpp", {**bodies.llama_cpp("b3900", sleeping=None), "/metrics": metrics})
    assert got['prompt_tokens_total{model="tiny"}'] == 48
    assert got['kv_cache_usage_ratio{model="tiny"}'] == 0.375
    assert 'prompt_cached_tokens_total{model="tiny"}' not in got


@pytest.mark.parametrize(
    ("alias", "name"), [("/srv/models/tiny-a.gguf", "tiny-a"), ("org/tiny", "org/tiny"), ("tiny", "tiny")]
)
async def test_llama_cpp_shows_no_path(alias: str, name: str) -> None:
    """Where its alias is the model's path, the model has the file's name."""
    got, _ = await read("llama.cpp", bodies.llama_cpp(alias=alias))
    assert got[f'model_state{{model="{name}",state="loaded"}}'] == 1
    assert "/srv" not in str(got)


async def test_llama_cpp_that_loads() -> None:
    """While it loads it is up and not ready, and no model is known."""
    loading = as_json({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, 503)
    loading.headers |= bodies.LLAMA
    got, _ = await read("llama.cpp", dict.fromkeys(("/health", "/props", "/metrics"), loading))
    assert got == basics(ready=0)


async def test_llama_cpp_without_metrics() -> None:
    """Switched off they are left out, and the note says how to switch them on."""
    off = as_json({"error": {"code": 501, "message": "This server does not support metrics endpoint."}}, 501)
    off.headers |= bodies.LLAMA
    got, result = await read("llama.cpp", {**bodies.llama_cpp(), "/metrics": off})
    assert got == {**basics("metrics_off"), **LLAMA, **state("tiny", "loaded")}
    assert "--metrics" in result.notes[0].hint


async def test_llama_cpp_with_a_key(tmp_path: Path) -> None:
    """Without its key only its health is known; the key of the file is sent as a bearer token."""
    key = tmp_path / "key"
    key.write_text("sk-test\n")
    denied = as_json({"error": {"message": "Invalid API Key", "code": 401}}, 401)
    denied.headers |= bodies.LLAMA
    answers = bodies.llama_cpp() | dict.fromkeys(("/props", "/v1/models", "/metrics"), denied)
    got, result = await read("llama.cpp", answers)
    assert got == basics("auth")
    assert "api_key_file" in result.notes[0].hint
    async with serving(Replay(bodies.llama_cpp())) as replay:
        await collect(replay.url, "llama.cpp", api_key_file=str(key))
    assert {headers["Authorization"] for headers in replay.headers} == {"Bearer sk-test"}


async def test_llama_cpp_router() -> None:
    """Each model that is not unloaded has its state; only loaded ones are asked for metrics."""
    models = [
        bodies.routed("tiny", "loaded"), bodies.routed("org/b", "sleeping"), bodies.routed("c", "loading"),
        bodies.routed("d", "unloaded"), bodies.routed("e", "unloaded", failed=True, exit_code=1),
        bodies.routed("f", "downloading"),
    ]  # fmt: skip
    answers = bodies.router(*models)
    answers["/metrics?model=tiny&autoload=false"] = bodies.llama_metrics()
    async with serving(Replay(answers)) as replay:
        result = await collect(replay.url, "llama.cpp")
    assert values(result) == {
        **basics(),
        'models{where="loaded"}': 1,
        'models{where="disk"}': 5,
        **state("tiny", "loaded"),
        **state("org/b", "sleeping"),
        **state("c", "loading"),
        **state("e", "failed"),
        'model_context_tokens{model="tiny"}': 1024,
        'model_context_tokens{model="org/b"}': 1024,
        'model_disk_bytes{model="tiny"}': 563968,
        'model_disk_bytes{model="org/b"}': 563968,
        **LLAMA_METRICS,
        **unloads("tiny"),
        **unloads("org/b"),
    }
    asked = ["/health", "/props", "/models", "/metrics?model=tiny&autoload=false"]
    assert replay.asked == [f"GET {path}" for path in asked]
    assert "secret" not in str(result)


async def test_llama_cpp_router_quotes_names() -> None:
    """A model's name can't become another parameter of the request."""
    name = "a&autoload=true#?/../unload"
    async with serving(Replay(bodies.router(bodies.routed(name, "loaded")))) as replay:
        await collect(replay.url, "llama.cpp")
    assert replay.asked[-1] == ("GET /metrics?model=a%26autoload%3Dtrue%23%3F%2F..%2Funload&autoload=false")


async def test_llama_swap() -> None:
    """States in words of all kinds, pinned where a model has no ttl, and which port is whose."""
    running = [
        {
            "model": "a",
            "state": "ready",
            "cmd": "x --key secret",
            "proxy": "http://localhost:5801",
            "ttl": 300,
        },
        {"model": "b", "state": "starting", "proxy": "http://127.0.0.1:5802/v1", "ttl": 0},
        {"model": "c", "state": "stopping", "proxy": "unix:/run/c:5803", "ttl": 0},
    ]
    host = Host()
    got, result = await read("llama-swap", bodies.llama_swap(*running), host=host)
    assert host.model_names == {"llm:s": {"llama-swap:5801": ("a",), "llama-swap:5802": ("b",)}}
    assert got == {
        **basics(),
        'models{where="loaded"}': 1,
        **state("a", "loaded"),
        **state("b", "loading"),
        **state("c", "unloading"),
        **{f'model_pinned{{model="{model}"}}': float(model != "a") for model in "abc"},
        **unloads("a"),
        **unloads("c"),
    }
    assert "secret" not in str(result)


async def test_llama_swap_170() -> None:
    """Before it had versions and times to live, only what is ready was listed."""
    got, _ = await read("llama-swap", bodies.llama_swap({"model": "a", "state": "ready"}, version=False))
    assert got == {**basics(), 'models{where="loaded"}': 1, **state("a", "loaded"), **unloads("a")}


VLLM = {
    'models{where="loaded"}': 1,
    'requests{model="qwen",state="running"}': 7,
    'requests{model="qwen",state="waiting"}': 4,
    'requests_finished_total{model="qwen",outcome="ok"}': 14,
    'requests_finished_total{model="qwen",outcome="aborted"}': 2,
    'prompt_tokens_total{model="qwen"}': 1624,
    'prompt_cached_tokens_total{model="qwen"}': 1280,
    'generated_tokens_total{model="qwen"}': 512,
    'kv_cache_usage_ratio{model="qwen"}': 0.5,
    'time_to_first_token_seconds_sum{model="qwen"}': 0.42,
    'time_to_first_token_seconds_count{model="qwen"}': 8,
    'request_seconds_sum{model="qwen"}': 11,
    'request_seconds_count{model="qwen"}': 8,
    'queue_seconds_sum{model="qwen"}': 1,
    'queue_seconds_count{model="qwen"}': 8,
    'model_context_tokens{model="qwen"}': 32768,
    **unloads("qwen"),
}


async def test_vllm() -> None:
    """Two engines together: counts are summed, the fullest cache counts, histograms keep sum and count."""
    got, _ = await read("vllm", bodies.vllm(bodies.vllm_metrics()))
    assert got == {
        **basics(),
        **VLLM,
        **state("qwen", "loaded"),
        'requests_finished_total{model="qwen",outcome="error"}': 0,
        'kv_cache_capacity_tokens{model="qwen"}': 32000,
        'prompt_seconds_total{model="qwen"}': 3,
        'generate_seconds_total{model="qwen"}': 9,
    }


async def test_vllm_of_earlier_versions() -> None:
    """Names of 0.8: its cache's use and hits are called otherwise, and no more is known."""
    got, _ = await read("vllm", bodies.vllm(bodies.vllm_metrics(old=True), "0.8.5"))
    assert got == {**basics(), **VLLM, **state("qwen", "loaded")}


async def test_vllm_and_sglang_show_no_path() -> None:
    """A model that was given by its folder is called after that alone."""
    engine = 'engine="0",model_name="/data/bob/qwen"'
    answers = bodies.vllm(bodies.vllm_metrics(engines=(engine,)))
    data = [{"id": "/data/bob/qwen", "max_model_len": 4096}]
    got, _ = await read("vllm", {**answers, "/v1/models": as_json({"data": data})})
    assert got['model_context_tokens{model="qwen"}'] == 4096
    assert got['requests{model="qwen",state="running"}'] == 3
    metrics = bodies.sglang_metrics().replace("Qwen/Qwen3-8B", "/data/bob/qwen/")
    got |= (await read("sglang", bodies.sglang(metrics)))[0]
    assert got['prompt_tokens_total{model="qwen"}'] == 1624
    assert not [name for name in got if "bob" in name]


async def test_vllm_that_sleeps() -> None:
    """An engine that is not awake makes the model sleep."""
    metrics = bodies.vllm_metrics().replace('sleep_state="awake"} 1.0', 'sleep_state="awake"} 0.0')
    got, _ = await read("vllm", bodies.vllm(metrics))
    assert got['model_state{model="qwen",state="sleeping"}'] == 1
    assert got['models{where="loaded"}'] == 0


async def test_vllm_that_has_just_started() -> None:
    """Without metrics of its own yet it is up, and no model is known."""
    got, _ = await read("vllm", bodies.vllm(bodies.text("", {})))
    assert got == {**basics(), 'models{where="loaded"}': 0}


async def test_vllm_with_a_key() -> None:
    """Its metrics need no key; only the context is missing."""
    denied = as_json({"error": "Unauthorized"}, 401)
    got, result = await read("vllm", {**bodies.vllm(bodies.vllm_metrics()), "/v1/models": denied})
    assert got['read_error{reason="auth"}'] == 1
    assert got['generated_tokens_total{model="qwen"}'] == 512
    assert 'model_context_tokens{model="qwen"}' not in got
    assert len(result.notes) == 1


def sglang_values(ranks: int = 1) -> dict[str, float]:
    name = "Qwen/Qwen3-8B"
    return {
        **basics(),
        'models{where="loaded"}': 1,
        **state(name, "loaded"),
        f'requests{{model="{name}",state="running"}}': 3 * ranks,
        f'requests{{model="{name}",state="waiting"}}': 2 * ranks,
        f'requests_finished_total{{model="{name}",outcome="ok"}}': 8,
        f'prompt_tokens_total{{model="{name}"}}': 1624,
        f'prompt_cached_tokens_total{{model="{name}"}}': 640,
        f'generated_tokens_total{{model="{name}"}}': 512,
        f'kv_cache_usage_ratio{{model="{name}"}}': 0.125,
        f'kv_cache_capacity_tokens{{model="{name}"}}': 400000 * ranks,
        f'model_context_tokens{{model="{name}"}}': 32768,
        f'time_to_first_token_seconds_sum{{model="{name}"}}': 0.5,
        f'time_to_first_token_seconds_count{{model="{name}"}}': 8,
        f'request_seconds_sum{{model="{name}"}}': 11,
        f'request_seconds_count{{model="{name}"}}': 8,
        **unloads(name),
    }


async def test_sglang() -> None:
    """Its GB are GiB; streamed and other requests are summed; NaN is not known."""
    got, _ = await read("sglang", bodies.sglang(bodies.sglang_metrics()))
    memory = {'model_memory_bytes{location="gpu",model="Qwen/Qwen3-8B"}': 75 * 2**30}
    assert got == {**sglang_values(), **memory}


async def test_sglang_ranks_that_repeat_each_other() -> None:
    """Ranks of one model share its requests; the memory of all of them is not known."""
    ranks = tuple(bodies.RANK.format(rank) for rank in (1, 0))
    got, _ = await read("sglang", bodies.sglang(bodies.sglang_metrics(ranks)))
    assert got == sglang_values()


async def test_sglang_ranks_that_share_the_load() -> None:
    """Data parallel ranks each have requests of their own."""
    ranks = tuple(f'{bodies.RANK.format(rank)},dp_rank="{rank}"' for rank in (0, 1))
    got, _ = await read("sglang", bodies.sglang(bodies.sglang_metrics(ranks)))
    assert got == sglang_values(2)


async def test_sglang_without_metrics() -> None:
    """Switched off they are left out, and the note says how to switch them on."""
    got, result = await read("sglang", bodies.sglang())
    assert got == basics("metrics_off")
    assert "--enable-metrics" in result.notes[0].hint


async def test_sglang_that_starts() -> None:
    """It is up and not ready while it answers with 503."""
    got, _ = await read("sglang", dict.fromkeys(("/model_info", "/ready"), Answer("", 503)))
    assert got == basics(ready=0)


async def test_openai_compatible() -> None:
    """Of any other server only that it answers is known: what it lists need not be loaded."""
    data = [{"id": "x", "object": "model", "owned_by": "me", "max_model_len": 4096}, {"id": "y"}]
    got, _ = await read("openai", {"/v1/models": as_json({"object": "list", "data": data})})
    assert got == {**basics(), 'model_context_tokens{model="x"}': 4096}


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (bodies.ollama(), "ollama"),
        (bodies.llama_cpp(), "llama.cpp"),
        (bodies.router(), "llama.cpp"),
        (bodies.llama_swap(), "llama-swap"),
        (bodies.vllm(bodies.vllm_metrics()), "vllm"),
        (bodies.sglang(bodies.sglang_metrics()), "sglang"),
        ({"/v1/models": as_json({"data": [{"id": "x", "owned_by": "sglang"}]})}, "sglang"),
        ({"/v1/models": as_json({"data": [{"id": "x", "owned_by": "me"}]})}, "openai"),
    ],
)
async def test_finds_out_the_kind(answers: dict[str, Answer], kind: str) -> None:
    """By what it answers, with at most three requests, none of which harms any kind."""
    if kind == "llama.cpp":
        answers["/api/version"] = Answer("", 404, dict(bodies.LLAMA))
    async with serving(Replay(answers)) as replay:
        found = await collect(replay.url) if kind != "sglang" or "/metrics" in answers else None
    if found:
        (info,) = (name for name in series(found.families) if name.startswith("grid_llm_server_info"))
        assert f'kind="{kind}"' in info
    paths = {line.partition(" ")[2] for line in replay.asked}
    assert not [path for path in paths if path.startswith(HARMFUL)]
    assert "GET /health" not in replay.asked or kind == "llama.cpp"


async def test_does_not_guess_the_kind_without_a_key() -> None:
    """Whoever asks for a key first may be anything."""
    async with serving(Replay({"/v1/models": Answer("", 401)})) as replay:
        with pytest.raises(ProbeError, match="a key is asked for") as caught:
            await collect(replay.url)
    assert values(caught.value) == basics("auth", up=0, ready=None)


async def test_a_servers_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host's name does as well as its address; one that nobody has is down."""

    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with serving(Replay(bodies.ollama())) as replay:
        got = values(await collect(replay.url.replace("127.0.0.1", "localhost"), "ollama"))
    assert got["up{}"] == 1
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    result = await collect("http://nobody.invalid:11434", "ollama")
    assert values(result) == basics("refused", up=0, ready=None)
