"""Links in directories of models: what they lead to counts for the model, and never without an end."""

import os
from pathlib import Path

import pytest

from exporter.scanner import sizes
from tests.scanner.test_scan import du, scanned, sized
from tests.unprivileged import unprivileged


def link(path: Path, target: str | Path) -> Path:
    """A symbolic link there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def shared(hub: Path, model: str, size: int) -> Path:
    """A repository whose one file lies in the blobs that a cache's repositories share."""
    blob = sized(hub / "blobs/ab/abcd", size)
    (hub / "blobs/.huggingface-shared-blobs").touch()
    repository = hub / f"models--acme--{model}"
    link(repository / "blobs/etag", "../../blobs/ab/abcd")
    link(repository / "snapshots/0123/model.safetensors", "../../blobs/etag")
    assert (repository / "snapshots/0123/model.safetensors").samefile(blob)
    return repository


def test_shared_blobs_count_in_each_model_and_once_in_the_whole(tmp_path: Path) -> None:
    """Each model has its own folders and links, and the shared file once however many links lead there."""
    repositories = {f"acme/{name}": shared(tmp_path, name, 10**7) for name in ("one", "two")}
    found = scanned(tmp_path)
    assert found["models"] == {name: du(path) + 10**7 for name, path in repositories.items()}
    assert found["size"] == du(tmp_path) < 2 * 10**7


@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_to_a_moved_model_has_that_models_size(tmp_path: Path, absolute: bool) -> None:  # noqa: FBT001
    """A repository, a file and a folder that were moved out and linked have their size, the whole has not."""
    far = tmp_path / "far"
    sized(far / "models--acme--moved/blobs/abc", 3_000_000)
    link(far / "models--acme--moved/snapshots/0/model.safetensors", "../../blobs/abc")
    sized(far / "flux.safetensors", 2_000_000)
    sized(far / "Mistral/weights", 1_000_000)
    models = tmp_path / "models"
    for name in ("models--acme--moved", "flux.safetensors"):
        link(models / "hub" / name, far / name if absolute else f"../../far/{name}")
    link(models / "Mistral", far / "Mistral" if absolute else "../far/Mistral")
    sized(far / "Mistral/config.json", 10)
    sized(far / "Mistral/model.gguf", 10)
    found = scanned(models)
    assert found["models"] == {
        "acme/moved": du(far / "models--acme--moved"),
        "flux.safetensors": 2_000_000,
        "Mistral": du(far / "Mistral"),
    }
    assert found["size"] == du(models)


def test_a_link_to_a_store_on_another_disk_opens_it(tmp_path: Path) -> None:
    """The models of a cache that is linked are listed, and none of them is part of the whole."""
    sized(tmp_path / "far/hub/models--org--name/blobs/abc", 5000)
    link(tmp_path / "models/hub", tmp_path / "far/hub")
    found = scanned(tmp_path / "models")
    assert found["models"] == {"org/name": du(tmp_path / "far/hub/models--org--name")}
    assert found["size"] == du(tmp_path / "models")


def test_a_link_to_a_store_in_the_same_directory_adds_nothing(tmp_path: Path) -> None:
    """A second name for a cache neither lists its models twice nor is a model."""
    sized(tmp_path / "hub/models--org--name/blobs/abc", 5000)
    link(tmp_path / "cache", "hub")
    found = scanned(tmp_path)
    assert found["models"] == {"org/name": du(tmp_path / "hub/models--org--name")}


def test_two_links_to_one_file_count_it_once(tmp_path: Path) -> None:
    """In one model a file or folder behind links counts once; in another it counts again."""
    weights = sized(tmp_path / "far/weights.gguf", 10**6)
    for model in ("one", "two"):
        sized(tmp_path / "models" / model / "config.json", 2)
        for name in ("a", "b"):
            link(tmp_path / "models" / model / name, weights)
            link(tmp_path / "models" / model / f"folder-{name}", weights.parent)
    found = scanned(tmp_path / "models")
    expected = du(tmp_path / "models/one") + 10**6 + weights.parent.stat().st_size
    assert found["models"] == {"one": expected, "two": expected}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (".", "it leads to a folder that it lies in"),
        ("..", "it leads to a folder that it lies in"),
        ("/", "it leads to a folder that it lies in"),
        ("absent", "it leads nowhere"),
        ("bad.gguf", "it leads in a circle"),
        ("/proc", "it leads to no file or folder"),
        ("/proc/self/root", "it leads to a folder that it lies in"),
        ("/proc/kcore", "it leads to no file or folder"),
        ("/dev/zero", "it leads to no file or folder"),
        ("pipe", "it leads to no file or folder"),
    ],
)
def test_a_hostile_link_is_no_model(tmp_path: Path, target: str, reason: str) -> None:
    """A circle, the root, a pipe, a device or a process's file has no size, but a reason."""
    os.mkfifo(tmp_path / "pipe")
    sized(tmp_path / "good.gguf", 7)
    bad = link(tmp_path / "bad.gguf", target)
    if target == "/proc/kcore" and not Path(target).exists():
        reason = "it leads nowhere"
    found = scanned(tmp_path)
    assert (found["models"], found["errors"]) == ({"good.gguf": 7}, 0)
    assert found["skipped"] == [[str(bad), reason]]
    assert found["size"] == du(tmp_path)


@pytest.mark.parametrize(
    "target", [".", "..", "../..", "/", "/proc", "/dev/zero", "absent", "self", "../pipe"]
)
def test_a_hostile_link_in_a_model_adds_nothing(tmp_path: Path, target: str) -> None:
    """A model has the size of its own files beside a link that leads round, nowhere, or to no file."""
    os.mkfifo(tmp_path / "pipe")
    sized(tmp_path / "model/weights", 5000)
    link(tmp_path / "model/self", target)
    found = scanned(tmp_path)
    assert (found["models"], found["errors"]) == ({"model": du(tmp_path / "model")}, 0)


def test_models_that_link_each_other_end(tmp_path: Path) -> None:
    """Two folders outside that lead to each other and back are each counted once."""
    for here, there in (("a", "b"), ("b", "a")):
        sized(tmp_path / f"far/{here}/weights", 1000)
        link(tmp_path / f"far/{here}/other", f"../{there}")
        link(tmp_path / f"far/{here}/home", tmp_path / "models")
    link(tmp_path / "models/one", tmp_path / "far/a")
    found = scanned(tmp_path / "models")
    assert found["models"] == {"one": du(tmp_path / "far/a") + du(tmp_path / "far/b")}


def test_a_chain_of_links_ends_where_the_kernel_ends_it(tmp_path: Path) -> None:
    """Links in links whose number doubles with each are given up at once."""
    sized(tmp_path / "model/weights.gguf", 5)
    link(tmp_path / "model/l0", ".")
    for number in range(1, 200):
        link(tmp_path / f"model/l{number}", f"l{number - 1}/l{number - 1}")
    found = scanned(tmp_path)
    assert found["models"] == {"model": du(tmp_path / "model")}


def test_a_link_to_very_many_files_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound that holds for all links together the model has no size; others keep theirs."""
    monkeypatch.setattr(sizes, "LINKED", 50)
    for number in range(100):
        sized(tmp_path / f"far/{number}", 1)
    for name in ("one", "two"):
        link(tmp_path / f"models/{name}", tmp_path / "far")
    sized(tmp_path / "models/own.gguf", 7)
    found = scanned(tmp_path / "models")
    assert found["models"] == {"own.gguf": 7}
    assert found["size"] == du(tmp_path / "models")
    assert any(reason == "links lead to more than 50 files" for _, reason in found["unread"])


def test_a_link_into_a_closed_folder_leaves_the_size_out(tree: Path) -> None:
    """What a link leads to and this user may not read is an error; the whole is known all the same."""
    sized(tree / "far/weights.gguf", 1000)
    link(tree / "models/linked.gguf", tree / "far/weights.gguf")
    link(tree / "models/folder/inner", tree / "far/weights.gguf")
    sized(tree / "models/own.gguf", 7)
    (tree / "far").chmod(0)
    with unprivileged():
        found = scanned(tree / "models")
    assert found["models"] == {"own.gguf": 7}
    assert found["errors"] == 2
    assert found["user"]
    assert found["size"] == du(tree / "models")


def test_what_lies_beside_a_store_is_no_model(tmp_path: Path) -> None:
    """Beside a store only what holds weights is a model, whatever the rest is called."""
    sized(tmp_path / "hub/models--org--name/blobs/abc", 10)
    for name in ("token", "stored_tokens", "Thumbs.db", "history", "id_ed25519", "README.md", "big"):
        sized(tmp_path / name, 2**21)
    for name in ("xet/chunk-cache/ab/cdef", "logs/server.log", "blobs/sha256-00", "datasets/a/train.arrow"):
        sized(tmp_path / name, 2**21)
    sized(tmp_path / "llama.gguf", 5)
    sized(tmp_path / "Mistral/model.safetensors", 6)
    found = scanned(tmp_path)
    assert sorted(found["models"]) == ["Mistral", "llama.gguf", "org/name"]
    assert found["size"] == du(tmp_path)


def test_small_files_of_other_kinds_are_no_models(tmp_path: Path) -> None:
    """Among plain models a file counts by its name, or because it is large."""
    for name, size in {"a.gguf": 1, "Thumbs.db": 24576, "SHA256SUMS": 300, "unknown": 2**21}.items():
        sized(tmp_path / name, size)
    assert scanned(tmp_path)["models"] == {"a.gguf": 1, "unknown": 2**21}


@pytest.mark.parametrize("nested", ["", "lmstudio"])
def test_lm_studio_models_are_named_by_their_publisher(tmp_path: Path, nested: str) -> None:
    """Folders of folders of weights are publishers, here and one level down."""
    store = tmp_path / nested
    for name in ("acme/tiny-GGUF", "acme/large-GGUF", "mlx-community/other"):
        sized(store / name / "model.gguf", 1000)
    found = scanned(tmp_path)
    assert found["models"] == {
        name: du(store / name) for name in ("acme/tiny-GGUF", "acme/large-GGUF", "mlx-community/other")
    }
    assert found["size"] == du(tmp_path)


def test_a_model_of_several_parts_is_one(tmp_path: Path) -> None:
    """A pipeline's folder with its index and a part in each folder is no publisher."""
    sized(tmp_path / "sdxl/model_index.json", 10)
    for part in ("unet", "vae"):
        sized(tmp_path / f"sdxl/{part}/model.safetensors", 1000)
    assert scanned(tmp_path)["models"] == {"sdxl": du(tmp_path / "sdxl")}
