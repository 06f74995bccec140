"""Which kind of server answers, by at most three requests that are harmless to all of them."""

from __future__ import annotations

import re

from exporter.probes.llm.client import OK, UNAUTHORIZED, Answer, Client, Failure
from exporter.probes.llm.reading import objects, text

PATHS = frozenset({"/", "/api/version", "/metrics", "/v1/models"})
KEY_HINT = "name its kind, and a file with its key: api_key_file"
LM_STUDIO_PORT = 1234  # it logs an error for each path that it doesn't know
OWNERS = {
    "llamacpp": "llama.cpp", "llama-swap": "llama-swap", "vllm": "vllm", "sglang": "sglang",
}  # fmt: skip
NAMES = {
    "ollama": "Ollama", "llama.cpp": "llama.cpp", "llama-swap": "llama-swap", "vllm": "vLLM",
    "sglang": "SGLang", "openai": "an OpenAI-compatible server",
}  # fmt: skip


async def identify(client: Client, port: int | None) -> str:
    """The kind of the server; empty where it is no server of language models that is known.

    Raises:
        Failure: it gives no answer that is read, or asks for a key.
    """
    if port != LM_STUDIO_PORT:
        answer = await client.get("/api/version")
        kind = _by_version(answer)
        if kind == "ollama":
            return kind if b"Ollama is running" in (await client.get("/")).body[:200] else ""
        if kind is not None:
            return kind
        kind = by_metrics((await client.get("/metrics")).body)
        if kind:
            return kind
    return await _by_models(await client.get("/v1/models"))


def _by_version(answer: Answer) -> str | None:
    """By the answer to /api/version; None where that is open."""
    if answer.server.startswith("llama.cpp"):
        return "llama.cpp"
    if answer.server.startswith("whisper.cpp") or b'"deployment_id"' in answer.body[:1000]:
        return ""
    if answer.status == OK and re.match(rb'\s*\{\s*"version"\s*:\s*"[^"]{1,64}"\s*\}\s*$', answer.body[:200]):
        return "ollama"
    if answer.status == OK and b'"build_date"' in answer.body[:1000] and b'"commit"' in answer.body[:1000]:
        return "llama-swap"
    return None


def by_metrics(body: bytes) -> str:
    """By the names in a server's own metrics; empty where there are none that are known."""
    for prefix, kind in ((b"vllm:", "vllm"), (b"sglang:", "sglang"), (b"llamacpp:", "llama.cpp")):
        if body.startswith(prefix) or b"\n" + prefix in body or b"# HELP " + prefix in body:
            return kind
    return ""


async def _by_models(answer: Answer) -> str:
    if answer.status == UNAUTHORIZED:
        raise Failure("auth", "a key is asked for before it shows which kind of server this is", KEY_HINT)
    try:
        data = objects((await answer.json()).get("data")) if answer.status == OK else []
    except Failure:
        return ""
    return OWNERS.get(text(data[0].get("owned_by")), "openai") if data else ""


def other_kind(answer: Answer) -> str:
    """Who answers instead, in words for a person."""
    head = answer.body[:2000]
    if answer.server.startswith(("llama.cpp", "whisper.cpp")):
        who = "llama.cpp" if answer.server.startswith("llama.cpp") else "whisper.cpp"
    elif b"Unexpected endpoint or method" in head:
        who = "LM Studio"
    elif b"Ollama is running" in head:
        who = "Ollama"
    elif b"SGLang is running" in head:
        who = "SGLang"
    elif b'"deployment_id"' in head:
        who = "Open WebUI"
    elif b'"build_date"' in head and b'"commit"' in head:
        who = "llama-swap"
    elif kind := by_metrics(answer.body):
        who = NAMES[kind]
    elif answer.type == "text/html" or head.lstrip()[:1] == b"<":
        who = "a web page"
    else:
        who = "something else"
    return f"{who} answers here (GET {answer.path}: {answer.status})"
