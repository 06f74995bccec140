"""What servers of each kind answer, in their format, of models that nobody has."""

from __future__ import annotations

from tests.probes.llm.replay import Answer, as_json

LLAMA = {"Server": "llama.cpp"}
GB = 10**9


def loaded(name: str, size: int, on_gpu: int, expires: str, context: int = 8192) -> dict[str, object]:
    """A model in Ollama's list of what is loaded."""
    details = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]}
    return {
        "name": name, "model": name, "size": size, "digest": "ab" * 32, "details": details,
        "expires_at": expires, "size_vram": on_gpu, "context_length": context,
    }  # fmt: skip


def tag(name: str, size: int, **more: str) -> dict[str, object]:
    """A model in Ollama's list of what is on disk."""
    return {"name": name, "model": name, "size": size, "digest": "ab" * 32, "details": {}, **more}


def ollama(*models: dict[str, object], version: str = "0.33.0") -> dict[str, Answer]:
    """Ollama with these models loaded, two on disk and one in the cloud."""
    tags = [
        tag("llama3:8b", 5 * GB),
        tag("acme/coder:q4", 2 * GB),
        tag("big:120b-cloud", 182, remote_model="big:120b", remote_host="https://ollama.com:443"),
    ]
    return {
        "/": Answer("Ollama is running", headers={"Content-Type": "text/plain; charset=utf-8"}),
        "/api/version": as_json({"version": version}),
        "/api/ps": as_json({"models": list(models)}),
        "/api/tags": as_json({"models": tags}),
    }


def llama_metrics(prompt: str = "48", cached: str | None = "12") -> Answer:
    """llama.cpp's own metrics; some of them only of newer builds."""
    values = {
        "prompt_tokens_total": prompt, "prompt_tokens_cached_total": cached, "prompt_seconds_total": "0.25",
        "tokens_predicted_total": "1.01273e+06", "tokens_predicted_seconds_total": "12.5",
        "n_decode_total": "465", "n_tokens_max": "488", "prompt_tokens_seconds": "1371",
        "predicted_tokens_seconds": "0", "requests_processing": "2", "requests_deferred": "3",
    }  # fmt: skip
    lines = [
        f"# HELP llamacpp:{name} Text.\n# TYPE llamacpp:{name} counter\nllamacpp:{name} {value}\n"
        for name, value in values.items()
        if value is not None
    ]
    return Answer("".join(lines), headers={**LLAMA, "Content-Type": "text/plain; version=0.0.4"})


def llama_cpp(
    build: str = "b11434-abc", alias: str = "tiny", *, sleeping: bool | None = False
) -> dict[str, Answer]:
    """llama.cpp's server with one model."""
    props: dict[str, object] = {
        "default_generation_settings": {"params": {"seed": 1}, "n_ctx": 512}, "total_slots": 2,
        "model_alias": alias, "model_path": "/srv/models/tiny.gguf", "endpoint_metrics": True,
        "chat_template": "{% for m in messages %}", "build_info": build,
    }  # fmt: skip
    if sleeping is not None:
        props["is_sleeping"] = sleeping
    meta = {"n_ctx": 512, "n_ctx_train": 2048, "n_params": 140992, "size": 563968}
    mimicked = [{"name": alias, "model": alias, "size": "", "details": {"format": "gguf"}}]
    data = [{"id": alias, "object": "model", "owned_by": "llamacpp", "meta": meta}]
    return {
        "/health": as_json({"status": "ok"}, headers=LLAMA),
        "/props": as_json(props, headers=LLAMA),
        "/v1/models": as_json({"models": mimicked, "object": "list", "data": data}, headers=LLAMA),
        "/metrics": llama_metrics(),
    }


def routed(name: str, value: str, **status: object) -> dict[str, object]:
    """A model in a router's list; the command line in it is nobody's business."""
    entry: dict[str, object] = {
        "id": name, "object": "model", "owned_by": "llamacpp",
        "status": {"value": value, "args": ["llama-server", "--api-key", "secret"], **status},
    }  # fmt: skip
    if value in ("loaded", "sleeping"):
        entry["meta"] = {"n_ctx": 1024, "size": 563968}
    return entry


def router(*models: dict[str, object], build: str = "b11434-abc") -> dict[str, Answer]:
    """llama.cpp's router."""
    props = {"role": "router", "max_instances": 2, "model_alias": "llama-server", "model_path": "none",
             "default_generation_settings": {"params": None, "n_ctx": 0}, "build_info": build}  # fmt: skip
    no_name = {"error": {"code": 400, "message": "model name is missing from the request"}}
    return {
        "/health": as_json({"status": "ok"}, headers=LLAMA),
        "/props": as_json(props, headers=LLAMA),
        "/models": as_json({"data": list(models), "object": "list"}, headers=LLAMA),
        "/metrics": as_json(no_name, 400, headers=LLAMA),
    }


def llama_swap(*running: dict[str, object], version: bool = True) -> dict[str, Answer]:
    """llama-swap with these models running."""
    answers = {
        "/running": as_json({"running": list(running)}),
        "/health": Answer("OK", headers={"Content-Type": "text/plain; charset=utf-8"}),
    }
    if version:
        answers["/api/version"] = as_json({"build_date": "unknown", "commit": "abcd", "version": "250"})
    return answers


def vllm(metrics: str, version: str = "0.33.0", context: int = 32768) -> dict[str, Answer]:
    """VLLM with these metrics."""
    data = [{"id": "qwen", "object": "model", "owned_by": "vllm", "max_model_len": context}]
    return {
        "/version": as_json({"version": version}),
        "/metrics": Answer(metrics, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}),
        "/v1/models": as_json({"object": "list", "data": data}),
    }


def text(prefix: str, samples: dict[str, float | str]) -> str:
    """Metrics in the text format; python_info stands before them."""
    lines = [f"{prefix}{name} {value}\n" for name, value in samples.items()]
    return "".join(["# HELP python_info Text.\n# TYPE python_info gauge\npython_info 1.0\n", *lines])


ENGINES = ('engine="0",model_name="qwen"', 'engine="1",model_name="qwen"')


def vllm_metrics(*, old: bool = False, engines: tuple[str, ...] = ENGINES) -> str:
    """The metrics of vLLM's engines: of 0.33, or as 0.8 has them."""
    samples: dict[str, float | str] = {}
    for number, labels in enumerate(engines):
        samples |= {
            f"num_requests_running{{{labels}}}": 3.0 + number,
            f"num_requests_waiting{{{labels}}}": 2.0,
            f"prompt_tokens_total{{{labels}}}": 812.0,
            f"generation_tokens_total{{{labels}}}": 256.0,
            f'iteration_tokens_total_bucket{{{labels},le="+Inf"}}': 1.0,
            f"{'gpu' if old else 'kv'}_cache_usage_perc{{{labels}}}": 0.25 + number / 4,
        }
        for reason, value in (("stop", 5), ("length", 2), ("abort", 1)):
            samples[f'request_success_total{{{labels},finished_reason="{reason}"}}'] = value
        for name, total in (
            ("time_to_first_token_seconds", 0.21),
            ("e2e_request_latency_seconds", 5.5),
            ("request_queue_time_seconds", 0.5),
        ):
            samples[f'{name}_bucket{{{labels},le="0.1"}}'] = 0.0
            samples[f"{name}_sum{{{labels}}}"] = total
            samples[f"{name}_count{{{labels}}}"] = 4.0
            samples[f"{name}_created{{{labels}}}"] = 1.79e9
        if old:
            samples[f"gpu_prefix_cache_hits_total{{{labels}}}"] = 640.0
            continue
        engine = labels.partition(",")[0]
        info = f'block_size="16",cache_dtype="auto",{engine},num_gpu_blocks="1000",sliding_window="None"'
        samples |= {
            f"prompt_tokens_cached_total{{{labels}}}": 640.0,
            f"prefix_cache_hits_total{{{labels}}}": 7.0,
            f'request_success_total{{{labels},finished_reason="error"}}': 0.0,
            f"cache_config_info{{{info}}}": 1.0,
            f"request_prefill_time_seconds_sum{{{labels}}}": 1.5,
            f"request_decode_time_seconds_sum{{{labels}}}": 4.5,
            f'engine_sleep_state{{{labels},sleep_state="awake"}}': 1.0,
            f'engine_sleep_state{{{labels},sleep_state="discard_all"}}': 0.0,
        }
    return text("vllm:", samples)


RANK = 'engine_type="unified",model_name="Qwen/Qwen3-8B",moe_ep_rank="0",pp_rank="0",tp_rank="{}"'


def sglang_metrics(ranks: tuple[str, ...] = (RANK.format(0),)) -> str:
    """The metrics of SGLang 0.5.23: of these ranks, and of the part that takes requests."""
    samples: dict[str, float | str] = {}
    for labels in ranks:
        samples |= {
            f"num_running_reqs{{{labels}}}": 3.0, f"num_queue_reqs{{{labels}}}": 2.0,
            f"token_usage{{{labels}}}": 0.125, f"max_total_num_tokens{{{labels}}}": 400000.0,
            f"context_len{{{labels}}}": 32768.0, f"fwd_occupancy{{{labels}}}": "NaN",
            f"gen_throughput{{{labels}}}": 121.4, f"cache_hit_rate{{{labels}}}": 0.5,
            f"weight_memory_usage_gb{{{labels}}}": 15.25, f"kv_cache_memory_usage_gb{{{labels}}}": 58.5,
            f'graph_memory_usage_gb{{{labels},phase="decode"}}': 1.25,
        }  # fmt: skip
    for streaming in ("true", "false"):
        labels = f'engine_type="unified",is_streaming="{streaming}",model_name="Qwen/Qwen3-8B"'
        samples |= {
            f"prompt_tokens_total{{{labels}}}": 812.0, f"generation_tokens_total{{{labels}}}": 256.0,
            f"num_requests_total{{{labels}}}": 4.0, f"time_to_first_token_seconds_sum{{{labels}}}": 0.25,
            f"time_to_first_token_seconds_count{{{labels}}}": 4.0,
            f"e2e_request_latency_seconds_sum{{{labels}}}": 5.5,
            f"e2e_request_latency_seconds_count{{{labels}}}": 4.0,
        }  # fmt: skip
    for source in ("device", "host"):
        samples[f'cached_tokens_total{{cache_source="{source}",model_name="Qwen/Qwen3-8B"}}'] = 320.0
    return text("sglang:", samples)


def sglang(metrics: str | None = None) -> dict[str, Answer]:
    """SGLang; without metrics where they are switched off."""
    answers = {
        "/ready": as_json({"status": "ready"}),
        "/model_info": as_json({"model_path": "Qwen/Qwen3-8B", "is_generation": True}),
    }
    if metrics is not None:
        answers["/metrics"] = Answer(metrics, headers={"Content-Type": "text/plain; version=0.0.4"})
    return answers


# Paths that load, wake, renew or unload a model, cost a token, or hold prompts: of all kinds together.
HARMFUL = (
    "/api/generate", "/api/chat", "/api/embed", "/api/show", "/api/me", "/slots", "/unload", "/upstream",
    "/logs", "/api/events", "/api/captures", "/health_generate", "/server_info", "/flush_cache",
    "/release_memory_occupation", "/resume_memory_occupation", "/sleep", "/wake_up", "/v1/chat", "/reload",
)  # fmt: skip
