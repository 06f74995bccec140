"""Servers that answer anything: each is an error with its reason, in bounded time and memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import ProbeError
from exporter.probes.llm import probe as llm
from exporter.probes.llm.client import BODY_LIMIT, Client, new_session
from exporter.probes.llm.text import parse
from exporter.probes.llm.vllm import WANTED
from tests.fuzz.test_blocking import GAP, calm, longest_gap  # noqa: F401 - calm is a fixture
from tests.probes.llm import bodies
from tests.probes.llm.replay import Answer, Replay, as_json, collect, raw, serving
from tests.probes.llm.test_kinds import basics, values

KINDS = ("ollama", "llama.cpp", "llama-swap", "vllm", "sglang", "openai")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVERYWHERE = (
    "/", "/api/version", "/api/ps", "/api/tags", "/health", "/props", "/models", "/v1/models", "/metrics",
    "/running", "/version", "/ready", "/model_info",
)  # fmt: skip


async def failure(url: str, kind: str | None) -> ProbeError:
    """Why a run fails."""
    with pytest.raises(ProbeError) as caught:
        await collect(url, kind)
    return caught.value


@pytest.mark.parametrize("kind", [*KINDS, None])
@pytest.mark.parametrize(
    "answer",
    [
        Answer("<!doctype html><title>Open WebUI</title>", headers={"Content-Type": "text/html"}),
        Answer('{"error":"Unexpected endpoint or method. (GET /api/ps)"}'),
        Answer("", 200),
        Answer("null"),
        Answer("[]"),
        Answer("[" * 100_000),
        Answer("internal error", 500),
        Answer("\0\xff", 404),
    ],
)
async def test_another_kind_is_an_error_with_its_reason(kind: str | None, answer: Answer) -> None:
    """Whatever answers everything alike is of no kind: up is 0, and the reason is shown."""
    async with serving(Replay(dict.fromkeys(EVERYWHERE, answer))) as replay:
        error = await failure(replay.url, kind)
    got = values(error)
    assert got["up{}"] == 0
    assert got['read_error{reason="other_kind"}'] + got['read_error{reason="bad_answer"}'] == 1
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("kind", "answers", "who"),
    [
        ("ollama", {"/api/version": Answer("", 404, dict(bodies.LLAMA))}, "llama.cpp"),
        ("ollama", {"/api/version": as_json({"version": "0.9.0"}), "/": Answer("<html>")}, "a web page"),
        (
            "ollama",
            {"/api/version": as_json({"error": "Unexpected endpoint or method. (GET /)"})},
            "LM Studio",
        ),
        ("llama.cpp", {"/health": Answer("OK")}, "something else"),
        (
            "llama.cpp",
            {"/health": as_json({"status": "ok"}, headers={"Server": "whisper.cpp"})},
            "whisper.cpp",
        ),
        ("vllm", bodies.sglang(bodies.sglang_metrics()), "SGLang"),
        ("sglang", bodies.vllm(bodies.vllm_metrics()), "vLLM"),
    ],
)
async def test_names_who_answers_instead(kind: str, answers: dict[str, Answer], who: str) -> None:
    """The reason names the other server, where it is known."""
    async with serving(Replay(answers)) as replay:
        error = await failure(replay.url, kind)
    assert f"{who} answers here" in str(error)


@pytest.mark.parametrize("kind", [*KINDS, None])
async def test_redirects_are_not_followed(kind: str | None) -> None:
    """Where a server sends us elsewhere, nobody there is asked."""
    async with serving(Replay({})) as elsewhere:
        away = Answer("", 302, {"Location": elsewhere.url})
        async with serving(Replay(dict.fromkeys(EVERYWHERE, away))) as replay:
            error = await failure(replay.url, kind)
    assert elsewhere.asked == []
    assert "redirects" in str(error)


@pytest.mark.parametrize("kind", [*KINDS, None])
async def test_compressed_answers_are_not_unpacked(kind: str | None) -> None:
    """A bomb that was not asked for is refused by its header."""
    bomb = Answer(gzip.compress(b"0" * 10**7), headers={"Content-Encoding": "gzip"})
    async with serving(Replay(dict.fromkeys(EVERYWHERE, bomb))) as replay:
        error = await failure(replay.url, kind)
    assert "compressed" in str(error)


@pytest.mark.parametrize(
    "head", [OK + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b""]
)
async def test_an_endless_answer_is_given_up(head: bytes) -> None:
    """Neither a body, nor chunks, nor a header without an end is read beyond its bound."""
    endless = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in head else b"x" * 65536
    tracemalloc.start()
    async with raw(head, endless=endless) as url:
        error = await failure(url, "ollama")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * BODY_LIMIT
    assert values(error)["up{}"] == 0


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", OK + b"Content-Length: 9\r\n\r\n{"])
async def test_a_slow_server_is_down(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence before, within or after the headers is a timeout: a fact, and no failure."""
    monkeypatch.setattr(llm, "READ_SHARE", 0.1)
    async with raw(data, hold=True) as url:
        result = await collect(url, "ollama")
    assert values(result) == basics("timeout", up=0, ready=None)


async def test_a_server_that_hangs_up_is_an_error() -> None:
    """A connection that ends before the answer does leaves no half of it."""
    async with raw(OK + b"Content-Length: 9\r\n\r\n{") as url:
        error = await failure(url, "ollama")
    assert values(error)['read_error{reason="bad_answer"}'] == 1


def many(kind: str) -> dict[str, Answer]:
    """A server of a kind with as many models as fit into its answer."""
    names = [f"m{number:06}" for number in range(10_000)]
    engines = tuple(f'engine="0",model_name="{name}"' for name in names[:500])
    return {
        "ollama": {
            **bodies.ollama(),
            "/api/ps": as_json({"models": [{"name": it, "size": 1, "size_vram": 1} for it in names]}),
        },
        "llama.cpp": bodies.router(*(bodies.routed(it, "loaded") for it in names)),
        "llama-swap": bodies.llama_swap(*(dict[str, object](model=it, state="ready") for it in names)),
        "vllm": bodies.vllm(bodies.vllm_metrics(engines=engines)),
        "sglang": bodies.sglang(bodies.sglang_metrics(engines)),
        "openai": {"/v1/models": as_json({"data": [{"id": it} for it in names]})},
    }[kind]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_million_models(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 are shown and the others counted in a note; the loop is not held up meanwhile."""
    monkeypatch.setattr(llm, "READ_SHARE", 100)
    async with serving(Replay(many(kind))) as replay:
        reading: asyncio.Future[Any] = asyncio.ensure_future(collect(replay.url, kind))
        gap = await longest_gap(reading)
    result = await reading
    shown = {match[1] for name in values(result) if (match := re.search('model="([^"]*)"', name))}
    if kind != "openai":
        assert len(shown) == 64
        assert [note for note in result.notes if "models of s are left out" in note.text]
    assert gap < GAP


@pytest.mark.parametrize("line", ["\n", "vllm:\n", "vllm:prompt_tokens_total\n", "x" * 9000 + "\n"])
async def test_lines_that_say_nothing_are_passed_over(line: str) -> None:
    """Megabytes of lines that say nothing cost little, and hide none that does."""
    body = line * (3_000_000 // len(line)) + bodies.vllm_metrics()
    assert set(parse(body.encode(), WANTED)) == set(parse(bodies.vllm_metrics().encode(), WANTED))


async def test_names_stay_labels() -> None:
    """Quotes, newlines, bytes that turn writing around and endless names are valid labels."""
    names = ['a"} 1\nup 0', "\u202eevil", "x" * 5000, "x" * 4999, "", " ", "\0", None, 7, ["a"]]
    answers = {**bodies.ollama(), "/api/ps": as_json({"models": [{"name": name} for name in names]})}
    async with serving(Replay(answers)) as replay:
        got = values(await collect(replay.url, "ollama"))
    states = [name for name in got if name.startswith("model_state") and 'state="loaded"' in name]
    assert len(states) == 5
    assert not any("\n" in name or "\u202e" in name for name in got)
    assert max(map(len, got)) < 400


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["loaded", "ready", "2025-10-17T16:47:07Z", "0001-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "model", "size", "size_vram", "expires_at", "context_length", "id", "status", "value",
             "meta", "n_ctx", "state", "ttl", "models", "data", "running", "version", "remote_host", "proxy"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=30)
@given(kind=st.sampled_from(KINDS), value=JSON, names=st.sets(st.sampled_from(EVERYWHERE), min_size=1))
async def test_any_json_is_read(kind: str, value: object, names: set[str]) -> None:
    """Each field may be missing, null or of another type: values, or an error with its reason."""
    answers = {
        **bodies.ollama(bodies.loaded("a", 1, 1, "x")),
        **bodies.llama_cpp(),
        **bodies.llama_swap({"model": "a", "state": "ready"}),
        **dict.fromkeys(names, Answer(json.dumps({"models": value, "data": value, "running": value}))),
    }
    async with serving(Replay(answers)) as replay:
        try:
            result: object = await collect(replay.url, kind)
        except ProbeError as error:
            result = error
    got = values(result)  # type: ignore[arg-type]
    assert got["up{}"] in (0, 1)
    assert all(number >= 0 for number in got.values())


@settings(max_examples=200)
@given(st.binary() | st.text('vllm:a{}="\\,# \n01e+').map(str.encode))
def test_any_text_is_read(data: bytes) -> None:
    """No text breaks the reader of metrics, and only what is wanted comes out."""
    assert set(parse(b"vllm:a 1\n" + data, frozenset({"vllm:a"}))) <= {"vllm:a"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("m 1.01273e+06", 1012730),
        ('m{a="b"} 3 1700000000000', 3),
        ('m{a="x\\"},{\\n"} 4', 4),
        ("m NaN", None),
        ("m +Inf", None),
        ("m -1", None),
        ("m 1e999", None),
        ("m", None),
        ('m{a="b" 5', None),
        ("m{" + 'a="b",' * 10_000 + "} 1", None),
    ],
)
def test_a_sample_is_a_number_or_unknown(line: str, value: float | None) -> None:
    """What is no finite number of at least 0 is left out."""
    got = [number for _, number in parse(f"{line}\n".encode(), frozenset({"m"})).get("m", [])]
    assert got == ([] if value is None else [value])


async def test_no_other_path_can_be_asked() -> None:
    """The client itself refuses what is not on its kind's list, however it is written."""
    async with serving(Replay({})) as replay, new_session() as session:
        client = Client(session, replay.url, frozenset({"/api/ps"}))
        for path in ("/unload", "/api/ps/../../unload", "/api/generate?x=/api/ps", ""):
            with pytest.raises(ValueError, match="not known to be harmless"):
                await client.get(path)
    assert replay.asked == []


async def test_proxies_and_cookies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the environment send nothing elsewhere, and a cookie is not given back."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    answers = bodies.ollama()
    answers["/api/version"].headers["Set-Cookie"] = "id=1; Path=/"
    async with serving(Replay(answers)) as replay:
        await collect(replay.url, "ollama")
    assert len(replay.asked) == 4
    assert not any({"Cookie", "Origin", "Authorization"} & headers.keys() for headers in replay.headers)
    assert {headers["Accept-Encoding"] for headers in replay.headers} == {"identity"}


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), ("", "holds no key"), ("two words", "holds no key")]
)
async def test_a_key_that_can_not_be_read(tmp_path: Path, content: str | None, message: str) -> None:
    """Nothing is asked without the key that is configured."""
    if content is not None:
        (tmp_path / "key").write_text(content)
    async with serving(Replay(bodies.ollama())) as replay:
        with pytest.raises(ProbeError, match=message):
            await collect(replay.url, "ollama", api_key_file=str(tmp_path / "key"))
    assert replay.asked == []
