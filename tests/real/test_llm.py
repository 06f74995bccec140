"""A real llama-server, where one is installed: it is read right, and neither loads nor wakes for us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.probe import ProbeError
from tests.daemon import TIMEOUT, free_port
from tests.probes.llm.replay import probe
from tests.probes.llm.test_kinds import values

pytestmark = pytest.mark.real("llama-server")

U32, F32, STRING, ARRAY = 4, 6, 8, 9  # types of values in a GGUF
WIDTH, INNER, HEADS, TOKENS = 64, 128, 4, 259
IDLE = 3  # seconds until a model that nobody asks sleeps


def text(value: str) -> bytes:
    """A string as GGUF has it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, value: float | str | list[Any]) -> bytes:
    """A key and its value."""
    kinds: list[tuple[type, int, Callable[[Any], bytes]]] = [
        (int, U32, lambda it: struct.pack("<I", it)),
        (float, F32, lambda it: struct.pack("<f", it)),
        (str, STRING, text),
    ]
    each = value if isinstance(value, list) else [value]
    kind, write = next((number, write) for of, number, write in kinds if isinstance(each[0], of))
    head = struct.pack("<IIQ", ARRAY, kind, len(each)) if isinstance(value, list) else struct.pack("<I", kind)
    return text(key) + head + b"".join(map(write, each))


def make_model(path: Path) -> None:
    """The smallest model that runs: random weights, and bytes for words."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    meta: dict[str, Any] = {
        "general.architecture": "llama", "llama.context_length": 512, "llama.embedding_length": WIDTH,
        "llama.block_count": 1, "llama.feed_forward_length": INNER, "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [0.0] * TOKENS,
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256],
    }  # fmt: skip
    square = {f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    block = {**square, "ffn_gate": (WIDTH, INNER), "ffn_up": (WIDTH, INNER), "ffn_down": (INNER, WIDTH),
             "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (WIDTH, TOKENS), "output": (WIDTH, TOKENS), "output_norm": (WIDTH,),
        **{f"blk.0.{name}": shape for name, shape in block.items()},
    }  # fmt: skip
    dice = random.Random(1)  # noqa: S311 - not for secrets
    table, data = b"", b""
    for name, shape in shapes.items():
        sizes = struct.pack(f"<{len(shape)}Q", *shape)
        table += text(f"{name}.weight") + struct.pack("<I", len(shape)) + sizes
        table += struct.pack("<IQ", 0, len(data))  # float32, from here on
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        data += struct.pack(f"<{count}f", *(dice.gauss(0, 0.05) for _ in range(count)))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(meta))
    head += b"".join(entry(key, value) for key, value in meta.items()) + table
    path.write_bytes(head + bytes(-len(head) % 32) + data)


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The URL of a llama-server, which takes requests."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    argv = ["llama-server", "--port", str(port), "-ngl", "0", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_for(lambda: ask(f"{url}/health") == {"status": "ok"})
        yield url
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def ask(url: str) -> Any:
    """The answer to a request; None where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(happens: Callable[[], bool]) -> None:
    """Waits until something happens."""
    end = time.monotonic() + TIMEOUT
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.2)


async def test_a_model_that_sleeps_is_not_woken(tmp_path: Path) -> None:
    """It is loaded, falls asleep although it is read, and sleeps on."""
    make_model(tmp_path / "tiny.gguf")
    options = ("-m", f"{tmp_path}/tiny.gguf", "--metrics", "--sleep-idle-seconds", str(IDLE))
    with served(tmp_path, *options) as url:
        run = probe(url)
        got = values(await run())
        assert (got["up{}"], got["ready{}"], got['models{where="loaded"}']) == (1, 1, 1)
        assert got['model_state{model="tiny",state="loaded"}'] == 1
        assert got['model_context_tokens{model="tiny"}'] == 512
        for _ in range(int(TIMEOUT)):
            got = values(await run())
            if got['model_state{model="tiny",state="sleeping"}']:
                break
            await asyncio.sleep(1)
        for _ in range(5):
            assert values(await run())['model_state{model="tiny",state="sleeping"}'] == 1
        assert ask(f"{url}/props")["is_sleeping"] is True
    got = values(await run())
    assert (got["up{}"], got['read_error{reason="refused"}']) == (0, 1)


async def test_a_router_loads_nothing_for_us(tmp_path: Path) -> None:
    """However often it is read; a configured kind that it is not is an error."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("a", "b"):
        make_model(models / f"{name}.gguf")
    with served(tmp_path, "--models-dir", str(models), "--metrics") as url:
        run = probe(url)
        for _ in range(5):
            got = values(await run())
            assert (got['models{where="disk"}'], got['models{where="loaded"}']) == (2, 0)
            assert not [name for name in got if name.startswith("model_state")]
        listed = ask(f"{url}/models")["data"]
        assert [model["status"]["value"] for model in listed] == ["unloaded", "unloaded"]
        with pytest.raises(ProbeError, match=r"llama\.cpp answers here"):
            await probe(url, "ollama")()
