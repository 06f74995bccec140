"""Which model a process serves, by the command lines of it and of those that started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.probe import Host
from exporter.probes.gpu.served_model import model_of

A, B = (f"sha256-{digit * 64}" for digit in "ab")
STORE = "/usr/share/ollama/.ollama/models/blobs"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose Ollama has a model of one name, and one of two names."""
    host = Host(proc=tmp_path)
    host.model_names["disk:/models"] = {A: ["qwen3:8b"], B: ["tiny:latest", "alias:v2"]}
    return host


def start(host: Host, *command: str, pid: int = 100, parent: int = 1, name: str = "x) y (") -> int:
    """A process with this command line; its name is there to mislead."""
    folder = host.proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes("\0".join(command).encode("utf-8", "surrogateescape") + b"\0")
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} 0 -1\n")
    return pid


@pytest.mark.parametrize(
    ("command", "model"),
    [
        ("llama-server -m /srv/models/qwen3-8b-q4.gguf -ngl 99", "qwen3-8b-q4"),
        ("/opt/llama.cpp/llama-server --model=/m/tiny.gguf --port 8080", "tiny"),
        ("llama-server --model /m/tiny.gguf --alias house --api-key secret", "house"),
        ("llama-server --model /m/tiny.gguf -a one,two", "one"),
        ("llama-server -hf ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"),
        ("llama-server --port 8080", ""),
        ("llama-server -m", ""),
        (f"/usr/bin/ollama runner --ollama-engine --model {STORE}/{A} --port 41", "qwen3:8b"),
        (f"/usr/lib/ollama/llama-server --model {STORE}/{A} --port 41", "qwen3:8b"),
        (f"/tmp/ollama123/runners/cuda_v12/ollama_llama_server --model {STORE}/{A}", "qwen3:8b"),
        (f"ollama runner --model {STORE}/sha256-{'c' * 64}", ""),
        ("ollama serve", ""),
        ("vllm serve Qwen/Qwen3-8B --max-model-len 8192", "Qwen/Qwen3-8B"),
        ("/usr/bin/python3 /usr/local/bin/vllm serve Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("vllm serve Qwen/Qwen3-8B --served-model-name qwen small", "qwen"),
        ("vllm serve /data/bob/qwen --port 8000", "qwen"),
        ("vllm serve --port 8000", ""),
        ("vllm bench Qwen/Qwen3-8B", ""),
        ("python3 -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("python3 -u -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 2", "Qwen/Qwen3-8B"),
        ("sglang serve --model-path=/data/bob/qwen/", "qwen"),
        ("python3 -m", ""),
        ("python3 train.py --model /data/bob/qwen", ""),
        ("", ""),
    ],
)
def test_model_of_a_command_line(host: Host, command: str, model: str) -> None:
    """Its name as the server lists it; no directory, and nothing of any other program."""
    assert model_of(start(host, *command.split(" ")), host) == model


def test_worker_has_the_model_of_its_server(host: Host) -> None:
    """A title in place of a command line tells nothing: those who started it are asked, to a bound."""
    start(host, "vllm", "serve", "Qwen/Qwen3-8B", pid=10)
    start(host, "VLLM::EngineCore", pid=11, parent=10)
    assert model_of(start(host, "VLLM::Worker_TP0", pid=12, parent=11), host) == "Qwen/Qwen3-8B"
    start(host, "python3", "-m", "sglang.launch_server", "--model-path", "org/x", pid=20)
    assert model_of(start(host, "sglang::scheduler_TP0", pid=21, parent=20), host) == "org/x"
    for pid in range(30, 40):
        start(host, "sh", pid=pid, parent=pid + 1)
    start(host, "vllm", "serve", "far/away", pid=40)
    assert model_of(30, host) == ""
    assert model_of(999, host) == ""


def test_file_of_several_names_is_the_loaded_one(host: Host) -> None:
    """Two names for one file are distinguished by what is loaded; else there is no name."""
    pid = start(host, "ollama", "runner", "--model", f"{STORE}/{B}")
    assert model_of(pid, host) == ""
    host.loaded_models["ollama"] = {"alias:v2", "other:1b"}
    assert model_of(pid, host) == "alias:v2"
    host.loaded_models["ollama"] = {"alias:v2", "tiny:latest"}
    assert model_of(pid, host) == ""


def test_llama_swap_names_its_children_by_port(host: Host) -> None:
    """What it started has the name that it has there; another's process on such a port keeps its own."""
    host.model_names["llm:swap"] = {"llama-swap:5801": ["coder"]}
    start(host, "/usr/local/bin/llama-swap", "--config", "c.yaml", pid=10)
    start(host, "sh", "-c", "llama-server", pid=11, parent=10)
    child = start(host, "llama-server", "-m", "/m/q4.gguf", "--port", "5801", pid=12, parent=11)
    assert model_of(child, host) == "coder"
    unknown = start(host, "llama-server", "-m", "/m/q4.gguf", "--port", "5802", pid=13, parent=10)
    assert model_of(unknown, host) == "q4"
    other = start(host, "llama-server", "-m", "/m/q4.gguf", "--port", "5801", pid=14)
    assert model_of(other, host) == "q4"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\udcffb", "\u202eb"])
def test_hostile_names_are_left_out(host: Host, name: str) -> None:
    """A name that can't be printed is none."""
    assert model_of(start(host, "llama-server", "--alias", name), host) == ""


def test_long_command_lines_are_cut(host: Host) -> None:
    """A name has 128 characters at most, and of a command line a part is read."""
    assert model_of(start(host, "llama-server", "--alias", "a" * 10**6), host) == "a" * 128
    assert model_of(start(host, *["x"] * 10**5, "--alias", "a", pid=101), host) == ""
