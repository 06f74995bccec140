"""The models of an invented host: files without content, but of the right size, in stores of every kind."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tests.box.files import put

GB = 10**9
GGUF = {
    "mistral-small-3.2-24b-q6_k.gguf": 19.3,
    "gemma-3-27b-it-q4_k_m.gguf": 16.5,
    "flux1-dev-q8_0.gguf": 12.7,
}
HUGGING_FACE = {
    "Qwen/Qwen3-14B-AWQ": 10.0,
    "BAAI/bge-m3": 2.3,
    "openai/whisper-large-v3": 3.1,
    "meta-llama/Llama-3.3-70B-Instruct": 141.1,
}
OLLAMA = {"qwen3:30b": 18.6, "qwen3:8b": 5.2, "nomic-embed-text:latest": 0.27}


def born(box: Path, count: int) -> None:
    """Puts some models into each store: models/ with a Hugging Face cache in it, and ollama/.

    count: how many there are in all, beyond the usual ones as files of their own.
    """
    for name, size in GGUF.items():
        sized(box / "models" / name, size * GB)
    for name, size in HUGGING_FACE.items():
        _hugging_face(box / "models/hub", name, size * GB)
    for name, size in OLLAMA.items():
        _ollama(box / "ollama", name, size * GB)
    for number in range(len(GGUF) + len(HUGGING_FACE) + len(OLLAMA), count):
        sized(box / "models" / f"adapter-{number:05}.safetensors", (0.05 + number % 40 / 100) * GB)


def sized(path: Path, size: float) -> None:
    """A file that seems to hold so many bytes and takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, round(size))


def _hugging_face(hub: Path, name: str, size: float) -> None:
    """A model as huggingface_hub keeps it: blobs, and links to them from the snapshot."""
    repository = hub / f"models--{name.replace('/', '--')}"
    revision, blob = (hashlib.sha256(f"{what} {name}".encode()).hexdigest() for what in ("commit", "blob"))
    put(repository / "refs/main", revision[:40])
    sized(repository / "blobs" / blob, size)
    snapshot = repository / "snapshots" / revision[:40]
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{blob}")


def runner(name: str) -> str:
    """The arguments with which Ollama starts itself to run a model."""
    return f"runner --model /root/.ollama/models/blobs/sha256-{_digest('layer', name)}"


def _digest(part: str, name: str) -> str:
    return hashlib.sha256(f"{part} {name}".encode()).hexdigest()


def _ollama(store: Path, name: str, size: float) -> None:
    """A model as Ollama keeps it: a manifest that names its blobs."""
    model, _, tag = name.partition(":")
    parts = {"config": 500.0, "layer": size}
    digests = {part: _digest(part, name) for part in parts}
    for part, digest in digests.items():
        sized(store / "blobs" / f"sha256-{digest}", parts[part])
    entries = {part: {"digest": f"sha256:{digests[part]}", "size": round(parts[part])} for part in parts}
    manifest = {"schemaVersion": 2, "config": entries["config"], "layers": [entries["layer"]]}
    put(store / "manifests/registry.ollama.ai/library" / model / tag, json.dumps(manifest))
