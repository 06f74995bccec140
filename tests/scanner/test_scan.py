"""The scan of one directory, on real trees of files and against the real `du`."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.scanner import models, mounts, scan, sizes
from tests.scanner.test_models import MANIFEST
from tests.unprivileged import unprivileged


def sized(path: Path, size: int) -> Path:
    """A file of that size, which takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


@functools.cache
def du_counts_folders() -> bool:
    """Whether this `du -sb` counts the folders' own sizes; from coreutils 9.2 on it doesn't."""
    with tempfile.TemporaryDirectory() as empty:
        ran = subprocess.run(["du", "-sb", empty], check=True, capture_output=True)
    return int(ran.stdout.split()[0]) > 0


def du(path: Path) -> int:
    """What `du -sb` reports, with the folders' own sizes."""
    argv = ["du", "-sb", "--exclude=lost+found", "--", str(path)]
    total = int(subprocess.run(argv, check=True, capture_output=True).stdout.split()[0])
    if not du_counts_folders() and path.is_dir():
        folders = [folder for folder, _, _ in os.walk(os.fsencode(path)) if b"lost+found" not in folder]
        total += sum(os.lstat(folder).st_size for folder in folders)
    return total


def scanned(path: Path) -> Any:
    """The document that a scan prints."""
    return json.loads(json.dumps(scan.scan(str(path))))


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda n: not {0, ord("/")} & set(n) and n not in (b".", b"..")
)
TREES = st.recursive(
    st.one_of(st.integers(0, 2**33), st.sampled_from(["link", "hard link", "pipe"])),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)


def grow(top: bytes, plan: dict[bytes, Any], files: list[bytes]) -> None:
    """Makes the planned tree: sparse files, hard links to any file so far, symbolic links to anywhere."""
    for name, what in plan.items():
        path = os.path.join(top, name)  # noqa: PTH118 - bytes
        if isinstance(what, dict):
            os.mkdir(path)  # noqa: PTH102 - bytes
            grow(path, what, files)
        elif isinstance(what, int):
            sized(Path(os.fsdecode(path)), what)
            files.append(path)
        elif what == "hard link" and files:
            os.link(files[-1], path)
        elif what == "pipe":
            os.mkfifo(path)
        else:
            Path(os.fsdecode(path)).symlink_to("." if len(files) % 2 else "/nowhere")


@settings(max_examples=40)
@given(plan=st.dictionaries(NAMES, TREES, max_size=5))
def test_counts_as_du_does(plan: dict[bytes, Any]) -> None:
    """Of any tree the total, and each model in it, is what the real `du -sb` reports."""
    with tempfile.TemporaryDirectory() as top:
        grow(os.fsencode(top), plan, [])
        found = scanned(Path(top))
        assert found["size"] == du(Path(top))
        assert found["errors"] == 0
        names = {os.fsdecode(name): what for name, what in plan.items() if not name.startswith(b".")}
        shown = {
            name
            for name, what in names.items()
            if isinstance(what, dict) or (isinstance(what, int) and what >= models.LEAST)
        }
        assert {name: du(Path(top, name)) for name in shown} == {
            name: size for name, size in found["models"].items() if name in shown
        }


def test_names_models_of_every_kind(tmp_path: Path) -> None:
    """Folders, files and a Hugging Face cache's repositories in one directory each come under their name."""
    sized(tmp_path / "Mistral-7B/model.safetensors", 1000)
    sized(tmp_path / "llama.gguf", 2000)
    sized(tmp_path / "models--org--name/blobs/abc", 3000)
    snapshot = tmp_path / "models--org--name/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    sized(tmp_path / "models--org--name/blobs/def.incomplete", 500)
    sized(tmp_path / ".locks/models--org--name/abc.lock", 1)
    sized(tmp_path / "version.txt", 1)
    found = scanned(tmp_path)
    assert found["models"] == {
        "org/name": du(tmp_path / "models--org--name"),
        "llama.gguf": 2000,
        "Mistral-7B": du(tmp_path / "Mistral-7B"),
    }
    assert 3500 <= found["models"]["org/name"] < 3500 + 3000 + 5 * tmp_path.stat().st_size
    assert found["size"] == du(tmp_path)


def ollama(store: Path, place: str, manifest: bytes = MANIFEST) -> Path:
    """A model in an Ollama store."""
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    path = store / "manifests" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest)
    return path


def test_counts_shared_blobs_once_and_every_model_whole(tmp_path: Path) -> None:
    """Two of Ollama's models that share a blob each have their full size; the directory counts it once."""
    for place in ("llama3/8b", "llama3/latest"):
        ollama(tmp_path, f"registry.ollama.ai/library/{place}")
    sized(tmp_path / "blobs/sha256-5a17", 4_661_216_384)
    sized(tmp_path / "blobs/sha256-ffff-partial-0", 10**9)
    found = scanned(tmp_path)
    assert found["models"] == {"llama3:8b": 4_661_229_636, "llama3:latest": 4_661_229_636}
    assert {digest: sorted(names) for digest, names in found["blobs"].items()} == {
        "sha256:5a17": ["llama3:8b", "llama3:latest"]
    }
    assert found["size"] == du(tmp_path) < 2 * 4_661_216_384


def test_looks_into_a_store_that_lies_in_the_directory(tmp_path: Path) -> None:
    """A store one level down is opened (`$HF_HOME/hub`, `/ai/models/ollama`), a deeper one is not."""
    sized(tmp_path / "hub/models--org--name/blobs/abc", 1000)
    sized(tmp_path / "hub/version.txt", 1)
    ollama(tmp_path / "ollama", "registry.ollama.ai/library/llama3/8b")
    sized(tmp_path / "plain.gguf", 3000)
    sized(tmp_path / "deep/hub/models--too--deep/blobs/abc", 4000)
    found = scanned(tmp_path)
    assert sorted(found["models"]) == ["deep", "llama3:8b", "org/name", "plain.gguf"]
    assert found["size"] == du(tmp_path)


def test_lets_stores_share_a_directory(tmp_path: Path) -> None:
    """One directory given to Ollama and to Hugging Face's libraries alike shows both one's models."""
    sized(tmp_path / "models--org--name/blobs/abc", 1000)
    ollama(tmp_path, "registry.ollama.ai/library/llama3/8b")
    assert sorted(scanned(tmp_path)["models"]) == ["llama3:8b", "org/name"]


def test_adds_up_two_models_of_one_name(tmp_path: Path) -> None:
    """One model in two stores is one entry with what both take, never two series."""
    sized(tmp_path / "gpt2/pytorch_model.bin", 111)
    sized(tmp_path / "hub/models--gpt2/blobs/abc", 222)
    sizes = du(tmp_path / "gpt2"), du(tmp_path / "hub/models--gpt2")
    assert scanned(tmp_path)["models"] == {"gpt2": sum(sizes)}


def test_follows_a_link_that_is_the_directory(tmp_path: Path) -> None:
    """A link given as the directory is followed, as `du -sb link/`."""
    sized(tmp_path / "real/model.gguf", 5000)
    (tmp_path / "link").symlink_to("real")
    found = scanned(tmp_path / "link")
    assert found["size"] == du(tmp_path / "real")
    assert found["models"] == {"model.gguf": 5000}


def test_counts_a_hard_link_in_each_model_that_has_it(tmp_path: Path) -> None:
    """What two models share by hard links is part of both, and counts once in the directory."""
    sized(tmp_path / "one/weights", 10**6)
    (tmp_path / "two").mkdir()
    (tmp_path / "two/weights").hardlink_to(tmp_path / "one/weights")
    (tmp_path / "two/again").hardlink_to(tmp_path / "one/weights")
    found = scanned(tmp_path)
    assert found["models"] == {name: du(tmp_path / name) for name in ("one", "two")}
    assert found["size"] == du(tmp_path) < 2 * 10**6


def test_passes_over_lost_and_found(tree: Path) -> None:
    """A file system's lost+found, which root alone may read, is neither counted nor an error."""
    sized(tree / "model.gguf", 10)
    (tree / "lost+found").mkdir(mode=0)
    with unprivileged():
        found = scanned(tree)
    assert (found["errors"], found["models"]) == (0, {"model.gguf": 10})
    assert found["size"] == du(tree)


def test_leaves_out_a_total_that_would_be_too_small(tree: Path) -> None:
    """Where a folder can't be read the total and its model are absent, the others keep their size."""
    sized(tree / "whole/weights", 1000)
    sized(tree / "hidden/inner/weights", 1000)
    (tree / "hidden/inner").chmod(0)
    with unprivileged():
        found = scanned(tree)
    assert found["size"] is None
    assert found["models"] == {"whole": du(tree / "whole")}
    assert found["errors"] == 1
    assert found["unread"] == [[f"{tree}/hidden/inner", "Permission denied"]]
    assert found["user"]


def test_counts_every_file_whose_folder_may_not_be_entered(tree: Path) -> None:
    """A folder that may be listed but not entered hides every size in it; only the first few are named."""
    for number in range(25):
        sized(tree / f"model/part{number}", 1)
    (tree / "model").chmod(0o444)
    with unprivileged():
        found = scanned(tree)
    assert (found["size"], found["models"], found["errors"]) == (None, {}, 25)
    assert len(found["unread"]) == sizes.NAMED


def test_leaves_out_a_model_of_which_a_part_is_unreadable(tree: Path) -> None:
    """One name twice, one of the two unreadable: the model's size is not known, whichever comes first."""
    sized(tree / "gpt2/model.bin", 111)
    sized(tree / "hub/models--gpt2/blobs/abc", 222)
    (tree / "hub/models--gpt2/blobs").chmod(0)
    with unprivileged():
        assert scanned(tree)["models"] == {}


def test_keeps_the_total_when_a_manifest_is_no_good(tree: Path) -> None:
    """A damaged or unreadable manifest costs its own model; what lies on the disk is known all the same."""
    ollama(tree, "registry.ollama.ai/library/good/latest")
    ollama(tree, "registry.ollama.ai/library/empty/latest", b"")
    ollama(tree, "registry.ollama.ai/library/secret/latest").chmod(0)
    with unprivileged():
        found = scanned(tree)
    assert found["models"] == {"good:latest": 4_661_229_636}
    assert found["size"] == du(tree)
    assert found["errors"] == 2
    reasons = {path.split("/")[-2]: reason for path, reason in found["unread"]}
    assert reasons == {"empty": "Not a manifest: it is damaged", "secret": "Permission denied"}


def losing(monkeypatch: pytest.MonkeyPatch, folder: Path, lose: Callable[[], object]) -> None:
    """Has something happen right after the folder was listed, before its entries are read."""
    real = os.scandir

    def scandir(path: str) -> Any:
        if path != str(folder):
            return real(path)
        with real(path) as entries:
            listed = list(entries)
        lose()
        return contextlib.nullcontext(listed)

    monkeypatch.setattr(os, "scandir", scandir)


def test_forgives_what_vanishes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download's file that is renamed or deleted during the scan is no error."""
    sized(tmp_path / "model/blobs/part.incomplete", 1000)
    sized(tmp_path / "model/blobs/whole", 10)
    sized(tmp_path / "model/config.json", 2)
    losing(monkeypatch, tmp_path / "model/blobs", (tmp_path / "model/blobs/part.incomplete").unlink)
    found = scanned(tmp_path)
    monkeypatch.undo()
    assert found["errors"] == 0
    assert found["size"] == du(tmp_path)
    assert found["models"] == {"model": du(tmp_path / "model")}


def test_forgives_a_folder_that_vanishes_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder seen by its parent's listing and gone when its turn comes is no error either."""
    (tmp_path / "model/folder").mkdir(parents=True)
    real = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("/folder"):
            (tmp_path / "model/folder").rmdir()
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = scanned(tmp_path)
    assert (found["errors"], found["unread"]) == (0, [])
    assert found["size"] is not None


def test_forgives_a_model_that_is_deleted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ollama rm` during a scan: the manifest that is gone when it is read is no error, and no model."""
    path = ollama(tmp_path, "registry.ollama.ai/library/gone/latest")
    real = models.read_manifest

    def read_manifest(name: str) -> bytes:
        path.unlink()
        return real(name)

    monkeypatch.setattr(models, "read_manifest", read_manifest)
    found = scanned(tmp_path)
    assert (found["errors"], found["models"]) == (0, {})
    assert found["size"] is not None


def test_counts_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose listing breaks off with an I/O error leaves no total and no permission to ask for."""
    sized(tmp_path / "model/blobs/weights", 10)

    def fail() -> None:
        raise OSError(5, "Input/output error")

    losing(monkeypatch, tmp_path / "model/blobs", fail)
    found = scanned(tmp_path)
    assert (found["size"], found["models"], found["errors"], found["user"]) == (None, {}, 1, "")
    assert found["unread"] == [[f"{tmp_path}/model/blobs", "Input/output error"]]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent", "No such file or directory"), ("file", "Not a directory"), ("a" * 300, "name")],
)
def test_reports_why_a_directory_can_not_be_read(tmp_path: Path, name: str, reason: str) -> None:
    """A directory that isn't there or is none has no values, but the root's file system has."""
    (tmp_path / "file").touch()
    found = scanned(tmp_path / name)
    assert reason in found["error"]
    assert len(found["file_systems"]) == 1
    assert "size" not in found


def test_reports_which_folders_are_closed(tree: Path) -> None:
    """Where a folder above may not be entered it is named, so that a person can open the whole way."""
    directory = tree / "home/.cache/huggingface"
    directory.mkdir(parents=True)
    (tree / "home").chmod(0o600)
    with unprivileged():
        found = scanned(directory)
        who = scan.user()
    (tree / "home").chmod(0o755)
    assert found["error"] == "Permission denied"
    assert found["closed"] == [f"{tree}/home", f"{tree}/home/.cache"]
    assert found["user"] == who
    directory.chmod(0)
    with unprivileged():
        assert scanned(directory)["closed"] == []


def test_takes_any_bytes_for_a_name(tmp_path: Path) -> None:
    """Newlines, quotes, bytes that are no UTF-8 and the longest names come through as they are."""
    names = [
        b"new\nline",
        b'quo"te\\',
        b"\xff\xfe",
        "späß".encode(),
        b"x" * 255,
        b" ",
        b"-rf",
        b"\xed\xa0\x80",
    ]
    for name in names:
        (tmp_path / os.fsdecode(name)).mkdir()
    assert {os.fsencode(name) for name in scanned(tmp_path)["models"]} == set(names)


def test_reports_space_as_statvfs_does(tmp_path: Path) -> None:
    """The directory's file system comes first, then the root's, each with the mount that it is."""
    mine, root = scanned(tmp_path)["file_systems"]
    assert root["mount"] == mounts.file_system("/")["mount"]
    space = os.statvfs(tmp_path)
    assert mine["size"] == space.f_blocks * space.f_frsize
    assert mine["size"] >= mine["free"] >= mine["avail"]


def test_lists_the_largest_of_ten_thousand_models(tmp_path: Path) -> None:
    """However many models there are, 200 are named, the others are added up and the total is whole."""
    for number in range(10_000):
        sized(tmp_path / f"m{number:05}.gguf", number)
    found = scanned(tmp_path)
    assert len(found["models"]) == models.LISTED + 1
    assert found["models"]["m09999.gguf"] == 9999
    assert sum(found["models"].values()) == sum(range(10_000))
    assert found["size"] == du(tmp_path)


def test_survives_a_tree_deeper_than_any_path(tmp_path: Path) -> None:
    """Folders in folders beyond the longest path are counted as unread, they break nothing."""
    name = "d" * 250
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir(name, dir_fd=top)
            inner = os.open(name, os.O_RDONLY, dir_fd=top)
            os.close(top)
            top = inner
    finally:
        os.close(top)
    found = scanned(tmp_path)
    assert (found["size"], found["errors"], found["models"]) == (None, 1, {})
    assert found["unread"][0][1] == "File name too long"


def test_finds_directories_under_any_name(tmp_path: Path) -> None:
    """A place with a star is looked for under every name there is, one without just there; files are none."""
    (tmp_path / "home/b/models").mkdir(parents=True)
    (tmp_path / "home/a").mkdir()
    (tmp_path / "home/a/models").symlink_to("../b/models")
    (tmp_path / "home/c").mkdir()
    (tmp_path / "home/c/models").touch()
    a, b = f"{tmp_path}/home/a/models", f"{tmp_path}/home/b/models"
    assert scan.find(f"{tmp_path}/home/*/models") == [(a, b), (b, b)]
    assert scan.find(b) == [(b, b)]
    assert scan.find(f"{tmp_path}/absent") == []


def test_reports_places_that_are_closed(tree: Path) -> None:
    """In another's home there may be a directory or none: who may not see that gets just that."""
    (tree / "home/a/models").mkdir(parents=True)
    (tree / "home/b").mkdir()
    (tree / "home/a").chmod(0)
    with unprivileged():
        found = scan.find(f"{tree}/home/*/models")
    assert found == [(f"{tree}/home/a/models", "")]


def test_runs_by_itself_with_nothing_slow(tmp_path: Path) -> None:
    """As a process it needs neither site-packages nor a slow module, and prints one JSON document."""
    sized(tmp_path / os.fsdecode(b"\xff.gguf"), 7)
    argv = [sys.executable, "-I", "-S", "-X", "importtime", str(scan.__file__), str(tmp_path)]
    ran = subprocess.run(argv, check=True, capture_output=True, cwd="/", env={"LC_ALL": "C"})
    assert json.loads(ran.stdout)["models"] == {"\udcff.gguf": 7}
    modules = {line.split(b"|")[-1].strip().decode() for line in ran.stderr.splitlines()}
    assert "exporter.scanner.models" in modules
    assert not modules & {"site", "typing", "pathlib", "asyncio", "dataclasses", "subprocess", "msgspec"}


def test_leaves_the_processor_to_others(tmp_path: Path) -> None:
    """The scan runs at the lowest priority that a process can ask for."""
    code = "from exporter.scanner import scan; import os; scan.main(); print(os.nice(0))"
    argv = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(argv, check=True, capture_output=True)
    assert ran.stdout.split(b"}")[-1].strip() == b"19"


def test_a_user_without_a_name_goes_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the exporter may run as a number that no one has."""
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    assert scan.user() == "54321"


def test_lists_file_systems_on_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each disk once, wherever it is mounted; no image, no network, nothing of FUSE, no part of one."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "21 20 8:1 /etc/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
        "22 20 8:17 / /var/lib/docker rw - xfs /dev/sdb1 rw\n"
        "23 20 8:17 / /mnt/again rw - xfs /dev/sdb1 rw\n"
        "24 20 0:40 /@home /home\\040dirs rw - btrfs /dev/sdc rw\n"
        "25 20 0:41 / /tank rw - zfs tank rw\n"
        "26 20 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n"
        "27 20 11:0 / /media/cd ro - iso9660 /dev/sr0 ro\n"
        "28 20 0:42 / /nas rw - nfs4 nas:/export rw\n"
        "29 20 0:43 / /mnt/stick rw - fuseblk /dev/sdd1 rw\n"
        "30 20 0:44 / /run rw - tmpfs tmpfs rw\n"
    )
    opened = open
    monkeypatch.setattr("builtins.open", lambda path, **more: opened(table, **more))
    assert list(mounts._points()) == ["/", "/var/lib/docker", "/home dirs", "/tank"]


def test_file_systems_on_disks_need_no_permission(tree: Path) -> None:
    """Space is known of a folder that this user may not read, as /var/lib/docker is."""
    closed = tree / "closed"
    closed.mkdir(mode=0o700)
    with unprivileged():
        assert mounts.file_system(str(closed), os.O_PATH)["size"] > 0
