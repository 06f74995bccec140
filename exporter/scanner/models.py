"""How models lie on disk: files and folders of weights, Hugging Face's cache, Ollama's store, LM Studio's.

Part of the scanning process (scan.py), which starts often: nothing but the standard library's quick modules.
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH110, PTH112

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping

LISTED = 200  # models that get a series of their own
NAMED_BLOBS = 2000  # of Ollama's, that are told by name
OTHER = "(other)"
REPOSITORIES = ("models--", "datasets--", "spaces--", "kernels--")
SHARED_BLOBS = "blobs/.huggingface-shared-blobs"  # marks a cache whose repositories share their files
MANIFESTS = ("manifests", "manifests-v2")  # of Ollama; where a model is in both, the latter holds
OLLAMA_PARTS = frozenset({"blobs", *MANIFESTS})
MANIFEST_LIMIT = 8 * 1024 * 1024
CHILDREN = 64  # manifests in a list of manifests
WEIGHTS = (
    ".gguf", ".ggml", ".safetensors", ".sft", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".engine", ".plan",
    ".llamafile", ".npz", ".h5", ".keras", ".pb", ".tflite", ".task", ".litertlm", ".nemo", ".pte",
    ".mlmodel", ".pkl", ".pickle", ".msgpack",
)  # fmt: skip
LM_STUDIO = (".gguf", ".safetensors")  # what it runs
LEAST = 1024 * 1024  # bytes of a model that is a file of another name
SEARCHED = 2000  # entries of a folder among which weights are looked for


def is_weights(name: str) -> bool:
    """Whether a file is named as one that holds a model's weights."""
    return name.lower().endswith(WEIGHTS)


def is_store(path: str) -> bool:
    """Whether a folder is not a model but the place where a program keeps its models.

    A folder that can't be read is not known to be one.
    """
    return is_hub(path) or is_ollama_store(path) or _is_lm_studio_store(path)


def is_hub(path: str) -> bool:
    """Whether a folder is laid out as the cache of Hugging Face's libraries."""
    return os.path.exists(f"{path}/{SHARED_BLOBS}") or any(
        is_repository(entry.name) and _is_folder(entry) for entry in _visible(path)
    )


def is_ollama_store(path: str) -> bool:
    """Whether a folder is laid out as Ollama's: manifests, and the blobs that they name."""
    return os.path.isdir(f"{path}/blobs") and any(os.path.isdir(f"{path}/{part}") for part in MANIFESTS)


def is_publisher(path: str) -> bool:
    """Whether a folder only holds folders of models, as LM Studio keeps each publisher's."""
    folders = []
    for entry in _visible(path, SEARCHED):
        if _is_folder(entry):
            folders.append(entry.path)
        elif is_weights(entry.name) or entry.name.endswith(".json"):
            return False
    files = (entry.name for folder in folders for entry in _visible(folder, SEARCHED))
    return any(name.lower().endswith(LM_STUDIO) for name in files)


def holds_weights(path: str) -> bool:
    """Whether a folder holds a file of weights or a repository, among the first entries of it and below."""
    waiting = [path]
    left = SEARCHED
    for folder in waiting:
        for entry in _visible(folder, left):
            left -= 1
            if is_weights(entry.name) or is_repository(entry.name):
                return True
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
    return False


def _is_lm_studio_store(path: str) -> bool:
    """Whether a folder holds publishers and nothing else."""
    entries = list(_visible(path, SEARCHED))
    folders = all(_is_folder(entry) for entry in entries)
    return bool(entries) and folders and all(is_publisher(entry.path) for entry in entries)


def _visible(path: str, limit: int | None = None) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder that are not hidden; none where it can't be read."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if limit is not None and limit <= 0:
                return
            if limit is not None:
                limit -= 1
            if not entry.name.startswith("."):
                yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link that leads to one where this user may go."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_repository(name: str) -> bool:
    """Whether a folder is named as a repository in a Hugging Face cache."""
    return name.startswith(REPOSITORIES) and bool(name.partition("--")[2])


def repository_name(folder: str) -> str:
    """A repository's name as people know it, from its folder's: ``org/name`` from ``models--org--name``."""
    kind, _, name = folder.partition("--")
    return ("" if kind == "models" else f"{kind}/") + name.replace("--", "/")


def ollama_manifests(store: str) -> dict[str, str]:
    """The models of an Ollama store, named as ``ollama list`` does, each with its manifest's path.

    A manifest lies at ``manifests/HOST/USER/MODEL/TAG``; the usual host and user are left out of the name.
    """
    found: dict[str, str] = {}
    for part in MANIFESTS:
        top = f"{store}/{part}"
        for folder, _, tags in os.walk(top):
            place = folder[len(top) + 1 :].split("/")
            if len(place) == 3:  # noqa: PLR2004 - host, user and model
                if place[0] == "registry.ollama.ai":
                    del place[: 2 if place[1] == "library" else 1]
                found |= {f"{'/'.join(place)}:{tag}": f"{folder}/{tag}" for tag in tags if tag[0] != "."}
    return found


def ollama_model_size(store: str, path: str) -> int:
    """A model's bytes by its manifest; raises as ``ollama_blobs``."""
    return sum(ollama_blobs(store, path).values())


def ollama_blobs(store: str, path: str) -> dict[str, int]:
    """The bytes of a model's blobs, by digest; of a list of manifests, of those that are here.

    Raises:
        OSError: it can't be read.
        ValueError: it is not a manifest.
    """
    blobs = manifest_blobs(text := read_manifest(path))
    if not blobs:
        for digest in _children(text):
            with contextlib.suppress(FileNotFoundError):  # for another machine's runner, not pulled
                blobs |= manifest_blobs(read_manifest(f"{store}/blobs/{digest.replace(':', '-', 1)}"))
    if not blobs:
        raise ValueError("Not a manifest: none of those that it lists is here")
    return blobs


def read_manifest(path: str) -> bytes:
    """The text of a manifest.

    Raises:
        OSError: it can't be read.
        ValueError: it is no plain file, or larger than a manifest can be.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("Not a manifest: it is no plain file")
        text = file.read(MANIFEST_LIMIT + 1)
    if len(text) > MANIFEST_LIMIT:
        raise ValueError("Not a manifest: it is too large")
    return text


def manifest_blobs(text: bytes) -> dict[str, int]:
    """The bytes of a manifest's blobs, by their digests: its configuration and its layers.

    Empty for a list of manifests.

    Raises:
        ValueError: it is not a manifest.
    """
    blobs = {}
    try:
        manifest = json.loads(text)
        if isinstance(manifest.get("manifests"), list):
            return {}
        for number, part in enumerate((manifest["config"], *(manifest["layers"] or ()))):
            blobs[str(part.get("digest") or number)] = part["size"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("Not a manifest: it is damaged") from error
    if any(type(size) is not int or not 0 <= size < 1 << 63 for size in blobs.values()):
        raise ValueError("Not a manifest: a size in it makes no sense")
    return blobs


def manifest_size(text: bytes) -> int:
    """A model's bytes by its manifest in an Ollama store.

    Raises:
        ValueError: it is not a manifest.
    """
    return sum(manifest_blobs(text).values())


def _children(text: bytes) -> list[str]:
    """The digests in a list of manifests; those that could lead out of the store are left out."""
    listed = json.loads(text)["manifests"][:CHILDREN]
    digests = [part.get("digest") for part in listed if isinstance(part, dict)]
    return [
        digest for digest in digests if isinstance(digest, str) and "/" not in digest and "\0" not in digest
    ]


def largest(models: Mapping[str, int | None], *, complete: bool) -> dict[str, int]:
    """The largest models, each by its name, and the sum of the others where all of them are known."""
    known = sorted((-size, name) for name, size in models.items() if size is not None)
    listed = {name: -size for size, name in known[:LISTED]}
    if complete and len(known) > LISTED:
        listed[OTHER] = listed.get(OTHER, 0) - sum(size for size, _ in known[LISTED:])
    return listed
