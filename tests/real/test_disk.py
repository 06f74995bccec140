"""The disk probe on real mounts: of several kinds, dead ones, and closed ones that setfacl opens."""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.probe import Host, ProbeError, Result
from exporter.probes.disk import discovery, scan_result
from exporter.probes.disk.probe import Settings, build
from exporter.scanner import scan
from tests.scanner.test_scan import du, scanned, sized
from tests.series import series
from tests.unprivileged import unprivileged

pytestmark = pytest.mark.real("mount", "umount")


@contextlib.contextmanager
def mounted(point: Path, *argv: str, pass_fds: tuple[int, ...] = ()) -> Iterator[Path]:
    """Something mounted there for a while."""
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", *argv, str(point)], check=True, pass_fds=pass_fds)
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


@contextlib.contextmanager
def unanswered(point: Path) -> Iterator[int]:
    """A file system of FUSE's whose server never answers; closing the descriptor lets the server die."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    try:
        with mounted(point, "-i", "-t", "fuse.dead", "-o", options, "dead", pass_fds=(device,)):
            yield device
    finally:
        with contextlib.suppress(OSError):
            os.close(device)


def mountpoints(result: Result) -> set[str]:
    """The series of the file systems' sizes, which name their mount points."""
    return {name for name in series(result.families) if name.startswith("grid_filesystem_size_bytes")}


def hint_for(directory: Path) -> str:
    """The hint where the directory can't be scanned."""
    found = scan_result.parse(json.dumps(scan.scan(str(directory))).encode())
    return scan_result.failure(str(directory), found)[1]


async def collect(directory: Path) -> Result:
    """One run of the probe on that directory."""
    (probe,) = build(Settings(directories=(str(directory),)), Host())
    return await probe.run()


async def test_exports_the_file_system_of_a_directory(tmp_path: Path) -> None:
    """A directory on a tmpfs is exported with that, its device's name and its size, beside the root's."""
    with mounted(tmp_path / "with space", "-t", "tmpfs", "-o", "size=16m", "models #1") as point:
        sized(point / "models/llama.gguf", 1000)
        values = series((await collect(point / "models")).families)
    labels = f'{{device="models #1",fstype="tmpfs",mountpoint="{point}"}}'
    assert values[f"grid_filesystem_size_bytes{labels}"] == 16 * 2**20
    assert values[f'grid_directory_info{{mountpoint="{point}",path="{point}/models"}}'] == 1
    assert (
        len([name for name in values if name.startswith("grid_filesystem_avail") and str(point) in name]) == 1
    )


async def test_crosses_mounts_as_du_does(tmp_path: Path) -> None:
    """What is mounted inside of the directory counts, a tmpfs and a folder bound there alike."""
    sized(tmp_path / "elsewhere/weights", 5000)
    (tmp_path / "models").mkdir()
    with (
        mounted(tmp_path / "models/tmpfs", "-t", "tmpfs", "-o", "size=16m", "models") as inner,
        mounted(tmp_path / "models/bound", "--bind", str(tmp_path / "elsewhere")),
    ):
        sized(inner / "weights", 3000)
        found = scanned(tmp_path / "models")
        assert found["size"] == du(tmp_path / "models")
        assert found["models"]["bound"] == du(tmp_path / "elsewhere")


async def test_takes_a_folder_bound_onto_itself_for_what_it_is(tmp_path: Path) -> None:
    """A mount such as systemd makes to give a unit its own view of a folder is no file system of its own."""
    models = tmp_path / "models"
    models.mkdir()
    plain = mountpoints(await collect(models))
    with mounted(models, "--bind", str(models)):
        assert mountpoints(await collect(models)) == plain


async def test_takes_the_mount_on_top(tmp_path: Path) -> None:
    """Of two mounts at one place the directory lies on the later one."""
    with (
        mounted(tmp_path / "models", "-t", "tmpfs", "-o", "size=16m", "below"),
        mounted(tmp_path / "models", "-t", "tmpfs", "-o", "size=32m", "above") as point,
    ):
        values = series((await collect(point)).families)
    (size,) = (
        value for name, value in values.items() if name.startswith("grid_filesystem_size") and "abo" in name
    )
    assert size == 32 * 2**20
    assert not any("below" in name for name in values)


async def test_hangs_alone_on_a_dead_mount(tmp_path: Path) -> None:
    """A file system that doesn't answer holds its own scan alone; ended, nothing is left of that."""
    (other := tmp_path / "other").mkdir()
    with unanswered(tmp_path / "models"):
        run = asyncio.create_task(collect(tmp_path / "models"))
        while not (scans := scans_of(tmp_path / "models")):
            await asyncio.sleep(0.01)
        assert (await collect(other)).families
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not any(Path(f"/proc/{pid}").exists() for pid in scans)


async def test_discovers_beside_a_dead_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual place on a file system that doesn't answer is given up, the others are found."""
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("HF_HOME", raising=False)
    (tmp_path / "ai/models").mkdir(parents=True)
    others = asyncio.all_tasks()
    with unanswered(tmp_path / "srv"):
        assert (await discovery.find_directories(tmp_path)).directories == (f"{tmp_path}/ai/models",)
    await asyncio.gather(*(asyncio.all_tasks() - others), return_exceptions=True)


def scans_of(directory: Path) -> list[int]:
    """The processes that scan it, in uninterruptible sleep."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if os.fsencode(directory) in argv and state == "D":
                found.append(int(entry.name))
    return found


async def test_reports_that_a_file_system_is_gone(tmp_path: Path) -> None:
    """A file system whose server died is a failure with the reason; the root's is exported all the same."""
    with unanswered(tmp_path / "models") as device:
        os.close(device)
        with pytest.raises(ProbeError) as caught:
            await collect(tmp_path / "models")
    assert caught.value.reason.endswith("can't be read: Transport endpoint is not connected")
    assert any('mountpoint="/"' in name for name in series(caught.value.families))


@pytest.mark.real("setfacl")
def test_its_hint_opens_closed_directories() -> None:
    """The commands of the note, run as they are, let the user scan what was closed, and what comes later."""
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        Path(top).chmod(0o755)
        home = Path(top) / "home"
        models = home / ".cache/hugging face"
        sized(models / "models--org--name/blobs/abc", 1000).chmod(0o600)
        (models / "models--org--name/blobs").chmod(0o700)
        home.chmod(0o700)
        with unprivileged():
            hint = hint_for(models)
        subprocess.run(["sh", "-c", hint.replace("sudo ", "")], check=True)
        before = os.umask(0o077)
        (models / "later").mkdir()
        os.umask(before)
        with unprivileged():
            found = scanned(models)
        assert (found.get("error"), found.get("errors")) == (None, 0)
        assert found["size"] == du(models)
