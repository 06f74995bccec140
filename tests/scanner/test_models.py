"""How models lie on disk, as their makers lay them."""

import json
import os
from pathlib import Path

import pytest

from exporter.scanner import models

# As `ollama pull` writes them, in one line.
MANIFEST = b"""{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:0c1e","size":485},
"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:5a17","size":4661216384},
{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:77aa","size":12403},
{"mediaType":"application/vnd.ollama.image.template","digest":"sha256:9b03","size":254},
{"mediaType":"application/vnd.ollama.image.params","digest":"sha256:e4d8","size":110}]}"""


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("models--meta-llama--Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("models--gpt2", "gpt2"),
        ("datasets--allenai--c4", "datasets/allenai/c4"),
        ("spaces--org--demo", "spaces/org/demo"),
        ("kernels--kernels-community--activation", "kernels/kernels-community/activation"),
        ("models--a--b--c", "a/b/c"),
        ("models--", None),
        ("models", None),
        ("other--a--b", None),
    ],
)
def test_names_repositories_as_people_know_them(entry: str, name: str | None) -> None:
    """A repository is ORG/NAME, with its kind before that unless it is a model; anything else is none."""
    assert (models.repository_name(entry) if models.is_repository(entry) else None) == name


@pytest.mark.parametrize(
    ("folders", "store"),
    [
        (["models--org--name"], True),
        (["datasets--org--name", "whatever"], True),
        (["kernels--org--name"], True),
        (["blobs/.huggingface-shared-blobs"], True),
        (["blobs", "manifests-v2"], True),
        (["publisher/model/weights.gguf", "other/model/weights.gguf"], True),
        (["publisher/model/weights.gguf", "mine/weights.gguf"], False),
        (["unet/model.safetensors", "vae/model.safetensors"], False),
        (["blobs", "manifests"], True),
        (["blobs", "snapshots", "refs"], False),
        (["manifests"], False),
        ([], False),
    ],
)
def test_recognizes_a_store(tmp_path: Path, folders: list[str], store: bool) -> None:  # noqa: FBT001
    """A folder is a store when it is laid out as Hugging Face's cache or Ollama's store, else a model."""
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    assert models.is_store(str(tmp_path)) is store


def test_files_named_like_a_store_make_none(tmp_path: Path) -> None:
    """Files named like a store's folders make none, nor does a folder that isn't there."""
    (tmp_path / "blobs").touch()
    (tmp_path / "manifests").touch()
    assert not models.is_store(str(tmp_path))
    assert not models.is_store(str(tmp_path / "absent"))


def test_names_ollama_models_as_ollama_list_does(tmp_path: Path) -> None:
    """The usual registry and user go unsaid; other depths, hidden files and folders are no manifests."""
    for place in (
        "registry.ollama.ai/library/llama3/8b",
        "registry.ollama.ai/library/llama3/latest",
        "registry.ollama.ai/someone/tuned/v1",
        "hf.co/bartowski/Llama-3.2-1B-GGUF/Q4_K_M",
        "localhost:5000/library/own/latest",
        "registry.ollama.ai/library/too-short",
        "registry.ollama.ai/library/too/deep/by-one",
        "registry.ollama.ai/library/llama3/.DS_Store",
    ):
        path = tmp_path / "manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = models.ollama_manifests(str(tmp_path))
    assert sorted(found) == [
        "hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M",
        "llama3:8b",
        "llama3:latest",
        "localhost:5000/library/own:latest",
        "someone/tuned:v1",
    ]
    assert found["llama3:8b"] == f"{tmp_path}/manifests/registry.ollama.ai/library/llama3/8b"


def test_sizes_a_model_by_its_manifest() -> None:
    """A model of Ollama's takes what its configuration and its layers take."""
    assert models.manifest_size(MANIFEST) == 4_661_229_636
    assert models.manifest_size(b'{"config":{"size":7},"layers":null}') == 7


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00\xff\xfe",
        b"[]",
        b"null",
        b'{"config":null,"layers":[]}',
        b'{"config":{"size":1}}',
        b'{"config":{"size":1},"layers":[{}]}',
        b'{"config":{"size":1},"layers":7}',
        b'{"config":{"size":-1},"layers":[]}',
        b'{"config":{"size":1e400},"layers":[]}',
        b'{"config":{"size":"12"},"layers":[]}',
        b'{"config":{"size":true},"layers":[]}',
        b'{"config":{"size":9223372036854775808},"layers":[]}',
        b'{"config":{"size":' + b"9" * 10_000 + b'},"layers":[]}',
        b'{"config":{"size":1},"layers":[{"size":5}',
        b"[" * 100_000,
    ],
)
def test_refuses_what_is_no_manifest(text: bytes) -> None:
    """A damaged manifest is named as one, whatever is in it; it never becomes a size."""
    with pytest.raises(ValueError, match=r"^Not a manifest: "):
        models.manifest_size(text)


def test_reads_plain_files_only(tmp_path: Path) -> None:
    """A pipe in a manifest's place does not hold the scan, and a huge file is not taken in."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no plain file"):
        models.read_manifest(str(tmp_path / "pipe"))
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(models.MANIFEST_LIMIT + 1)
    with pytest.raises(ValueError, match="too large"):
        models.read_manifest(str(tmp_path / "huge"))
    (tmp_path / "plain").write_bytes(json.dumps({"config": {"size": 1}, "layers": []}).encode())
    assert models.manifest_size(models.read_manifest(str(tmp_path / "plain"))) == 1


def test_folds_all_but_the_largest() -> None:
    """Beyond 200 models the smallest are one series, and nothing of their sum is lost."""
    sizes = {f"m{number:03}": number for number in range(1000)}
    listed = models.largest(sizes, complete=True)
    assert len(listed) == models.LISTED + 1
    assert next(iter(listed.items())) == ("m999", 999)
    assert listed[models.OTHER] == sum(range(800))
    assert sum(listed.values()) == sum(sizes.values())


def test_leaves_out_a_rest_that_is_too_small() -> None:
    """Where a model's size is not known, the sum of the others isn't either; what is known stays."""
    sizes: dict[str, int | None] = {f"m{number:03}": number for number in range(1000)}
    listed = models.largest({**sizes, "unread": None}, complete=False)
    assert len(listed) == models.LISTED
    assert models.OTHER not in listed
    assert "unread" not in listed


def test_keeps_a_model_that_is_called_other() -> None:
    """A model named like the rest is counted with it rather than twice."""
    sizes = {models.OTHER: 5000, **{f"m{number:03}": number for number in range(1000)}}
    listed = models.largest(sizes, complete=True)
    assert len(listed) == models.LISTED
    assert sum(listed.values()) == sum(sizes.values())


def test_sizes_a_model_by_a_list_of_manifests(tmp_path: Path) -> None:
    """The manifests of the list that are here count, each blob once; the newer of two places holds."""
    child = {"config": {"digest": "sha256:c", "size": 400}, "layers": [{"digest": "sha256:w", "size": 9000}]}
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/sha256-one").write_text(json.dumps(child))
    child["layers"].append({"digest": "sha256:p", "size": 50})  # type: ignore[attr-defined]
    (tmp_path / "blobs/sha256-two").write_text(json.dumps(child))
    listed = [{"digest": f"sha256:{name}"} for name in ("one", "two", "absent", "../../etc")]
    (tmp_path / "blobs/sha256-list").write_text(json.dumps({"manifests": [*listed, None, {"digest": 7}]}))
    place = tmp_path / "manifests-v2/registry.ollama.ai/library/new/4b"
    place.parent.mkdir(parents=True)
    place.symlink_to("../../../../blobs/sha256-list")
    old = tmp_path / "manifests/registry.ollama.ai/library/new/4b"
    old.parent.mkdir(parents=True)
    old.write_bytes(MANIFEST)
    assert models.ollama_manifests(str(tmp_path)) == {"new:4b": str(place)}
    assert models.ollama_model_size(str(tmp_path), str(place)) == 9450


def test_refuses_a_list_without_a_manifest_that_is_here(tmp_path: Path) -> None:
    """A list that is empty, or names only manifests that were not pulled, gives no size."""
    for text in ('{"manifests":[]}', '{"manifests":[{"digest":"sha256:absent"}]}'):
        (tmp_path / "list").write_text(text)
        with pytest.raises(ValueError, match="none of those that it lists is here"):
            models.ollama_model_size(str(tmp_path), str(tmp_path / "list"))
