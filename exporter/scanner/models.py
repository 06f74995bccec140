"""How models lie on disk: a folder or a file each, Hugging Face's cache, Ollama's store.

Part of the scanning process (scan.py), which starts often: nothing but the standard library's quick modules.
"""
# Importing pathlib alone takes half as long as the interpreter's start.
# ruff: noqa: PTH112

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping

LISTED = 200  # models that get a series of their own
OTHER = "(other)"
REPOSITORIES = ("models--", "datasets--", "spaces--")
BOOKKEEPING = {"CACHEDIR.TAG", "version.txt"}  # beside the repositories of a Hugging Face cache
OLLAMA_PARTS = frozenset({"blobs", "manifests"})
MANIFEST_LIMIT = 8 * 1024 * 1024


def is_store(path: str) -> bool:
    """Whether a folder is not a model but the place where Hugging Face's libraries or Ollama keep theirs.

    A folder that can't be read is not known to be one.
    """
    parts = set()
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith(REPOSITORIES):
                return True
            if entry.name in OLLAMA_PARTS:
                parts.add(entry.name)
    return parts == OLLAMA_PARTS and is_ollama_store(path)


def is_ollama_store(path: str) -> bool:
    """Whether a folder is laid out as Ollama's: named manifests, and the blobs that they refer to."""
    return all(os.path.isdir(f"{path}/{part}") for part in OLLAMA_PARTS)


def model_name(entry: str) -> str | None:
    """The model's name as people know it, from a folder's or file's: ``org/name`` from ``models--org--name``.

    None for what is no model: the hidden (``.locks``), and a cache's bookkeeping.
    """
    kind, _, name = entry.partition("--")
    if name and entry.startswith(REPOSITORIES):
        return ("" if kind == "models" else f"{kind}/") + name.replace("--", "/")
    return None if entry.startswith(".") or entry in BOOKKEEPING else entry


def ollama_manifests(store: str) -> Iterator[tuple[str, str]]:
    """The models of an Ollama store, named as ``ollama list`` does, each with its manifest's path.

    A manifest lies at ``manifests/HOST/USER/MODEL/TAG``; the usual host and user go unsaid.
    """
    top = f"{store}/manifests"
    for folder, _, tags in os.walk(top):
        place = folder[len(top) + 1 :].split("/")
        if len(place) == 3:  # noqa: PLR2004 - host, user and model
            if place[0] == "registry.ollama.ai":
                del place[: 2 if place[1] == "library" else 1]
            yield from ((f"{'/'.join(place)}:{tag}", f"{folder}/{tag}") for tag in tags if tag[0] != ".")


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


def manifest_size(text: bytes) -> int:
    """A model's bytes by its manifest in an Ollama store: its configuration and its layers.

    Raises:
        ValueError: it is not a manifest.
    """
    try:
        manifest = json.loads(text)
        sizes = [part["size"] for part in (manifest["config"], *(manifest["layers"] or ()))]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError("Not a manifest: it is damaged") from error
    if any(type(size) is not int or not 0 <= size < 1 << 63 for size in sizes):
        raise ValueError("Not a manifest: a size in it makes no sense")
    return sum(sizes)


def largest(models: Mapping[str, int | None], *, complete: bool) -> dict[str, int]:
    """The largest models, each by its name, and the sum of the others where all of them are known."""
    known = sorted((-size, name) for name, size in models.items() if size is not None)
    listed = {name: -size for size, name in known[:LISTED]}
    if complete and len(known) > LISTED:
        listed[OTHER] = listed.get(OTHER, 0) - sum(size for size, _ in known[LISTED:])
    return listed
