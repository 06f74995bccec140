import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from exporter.config.load import parse as parse_config
from exporter.config.strict_yaml import ConfigError
from exporter.probe import Duration, Host, Note, ProbeError, Result, Schedule
from exporter.probes.disk import probe as disk
from exporter.probes.disk.discovery import DirectoryList
from exporter.probes.disk.mounts import parse_mounts
from exporter.probes.disk.probe import KIND, Settings, build, discover, result, tidy
from exporter.probes.disk.scan_result import FileSystem, ScanResult
from tests.scanner.test_scan import du, sized
from tests.series import series

MOUNTS = parse_mounts((Path(__file__).parents[2] / "captures/mountinfo/mountinfo").read_text())
ROOT = FileSystem(mount=43, size=1000, free=500, avail=400, inodes=60, inodes_free=50)


async def collect(directory: Path) -> Result:
    """One run of the probe on that directory."""
    (probe,) = build(Settings(directories=(str(directory),)), Host())
    return await probe.run()


def test_every_family_of_a_scan() -> None:
    """Every family comes out: the directory's size, each model, its file system and the root's."""
    scan = ScanResult(
        file_systems=(FileSystem(mount=63, size=9, free=8, avail=7), ROOT),
        size=300,
        models={"org/name": 200, "(other)": 100},
    )
    tmpfs = 'device="models #1",fstype="tmpfs",mountpoint="/srv/models/with space"'
    root = 'device="/dev/vda",fstype="ext4",mountpoint="/"'
    assert series(result("/ai/models", scan, MOUNTS).families) == {
        f"grid_filesystem_size_bytes{{{tmpfs}}}": 9,
        f"grid_filesystem_free_bytes{{{tmpfs}}}": 8,
        f"grid_filesystem_avail_bytes{{{tmpfs}}}": 7,
        f"grid_filesystem_read_only{{{tmpfs}}}": 0,
        f"grid_filesystem_size_bytes{{{root}}}": 1000,
        f"grid_filesystem_free_bytes{{{root}}}": 500,
        f"grid_filesystem_avail_bytes{{{root}}}": 400,
        f"grid_filesystem_read_only{{{root}}}": 0,
        f"grid_filesystem_inodes{{{root}}}": 60,
        f"grid_filesystem_inodes_free{{{root}}}": 50,
        'grid_directory_info{mountpoint="/srv/models/with space",path="/ai/models"}': 1,
        'grid_directory_size_bytes{path="/ai/models"}': 300,
        'grid_directory_entry_size_bytes{entry="org/name",path="/ai/models"}': 200,
        'grid_directory_entry_size_bytes{entry="(other)",path="/ai/models"}': 100,
        'grid_directory_scan_errors{path="/ai/models"}': 0,
    }


def test_exports_one_file_system_once() -> None:
    """A directory on the root's file system, even by a mount of its own there, adds no second one."""
    scan = ScanResult(file_systems=(FileSystem(mount=66, size=1000, free=500, avail=400), ROOT), size=1)
    values = series(result("/srv/models/self/inner", scan, MOUNTS).families)
    assert len([name for name in values if name.startswith("grid_filesystem_size")]) == 1
    assert values['grid_directory_info{mountpoint="/",path="/srv/models/self/inner"}'] == 1


def test_exports_file_systems_on_disks_too() -> None:
    """One that holds neither models nor the root is there, once, and read-only where its disk is."""
    line = "90 1 8:17 / /var/lib/docker ro,relatime - xfs /dev/sdb1 ro,attr2\n"
    docker = FileSystem(mount=90, size=8000, free=5, avail=4, inodes=9, inodes_free=1)
    scan = ScanResult(file_systems=(ROOT, ROOT), on_disks=(ROOT, docker), size=1)
    values = series(result("/ai/models", scan, MOUNTS | parse_mounts(line)).families)
    labels = 'device="/dev/sdb1",fstype="xfs",mountpoint="/var/lib/docker"'
    assert values[f"grid_filesystem_avail_bytes{{{labels}}}"] == 4
    assert values[f"grid_filesystem_inodes_free{{{labels}}}"] == 1
    assert values[f"grid_filesystem_read_only{{{labels}}}"] == 1
    assert len([name for name in values if name.startswith("grid_filesystem_size")]) == 2


def test_leaves_out_a_file_system_without_a_size() -> None:
    """A file system that reports a size of 0 has none; a mount that went meanwhile has no name to go by."""
    scan = ScanResult(
        file_systems=(FileSystem(mount=63, size=0, free=0, avail=0), FileSystem(99, 1, 1, 1)), size=1
    )
    values = series(result("/ai/models", scan, MOUNTS).families)
    assert not [name for name in values if name.startswith("grid_filesystem")]
    gone = ScanResult(file_systems=(FileSystem(99, 1, 1, 1), ROOT), size=1)
    assert not [n for n in series(result("/a", gone, MOUNTS).families) if n.startswith("grid_directory_info")]


def test_a_total_that_is_too_small_is_absent() -> None:
    """Where a part could not be read the total is absent, the error is counted and the note names it."""
    scan = ScanResult(file_systems=(ROOT, ROOT), models={"a": 1}, errors=1, unread=(("/ai/models/b", "Why"),))
    values = result("/ai/models", scan, MOUNTS)
    exported = series(values.families)
    assert 'grid_directory_size_bytes{path="/ai/models"}' not in exported
    assert exported['grid_directory_scan_errors{path="/ai/models"}'] == 1
    assert exported['grid_directory_entry_size_bytes{entry="a",path="/ai/models"}'] == 1
    assert values.notes[0].text.startswith("1 part(s) of /ai/models can't be read: /ai/models/b (Why)")


async def test_scans_a_real_directory(tmp_path: Path) -> None:
    """A real tree, scanned in a process of its own, comes out as du and statvfs report it."""
    sized(tmp_path / "models--org--name/blobs/abc", 10**9)
    sized(tmp_path / "llama.gguf", 5000)
    values = series((await collect(tmp_path)).families)
    assert values[f'grid_directory_size_bytes{{path="{tmp_path}"}}'] == du(tmp_path)
    assert values[f'grid_directory_entry_size_bytes{{entry="org/name",path="{tmp_path}"}}'] == du(
        tmp_path / "models--org--name"
    )
    assert values[f'grid_directory_scan_errors{{path="{tmp_path}"}}'] == 0
    (mount,) = (name for name in values if name.startswith("grid_directory_info"))
    point = mount.split('"')[1]
    (size,) = (
        values[n] for n in values if n.startswith("grid_filesystem_size") and f'mountpoint="{point}"' in n
    )
    assert size == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize


async def test_names_the_files_of_ollamas_models(tmp_path: Path) -> None:
    """Whose weights a file is, is left for who sees it on a command line; the largest file holds them."""
    digest = "ab" * 32
    layers = [{"digest": f"sha256:{digest}", "size": 5000}, {"digest": f"sha256:{'cd' * 32}", "size": 10}]
    manifest = tmp_path / "manifests/registry.ollama.ai/library/qwen3/8b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"config": {"digest": "sha256:ef", "size": 5}, "layers": layers}))
    sized(tmp_path / f"blobs/sha256-{digest}", 5000)
    host = Host()
    (probe,) = build(Settings(directories=(str(tmp_path),)), host)
    await probe.run()
    assert host.model_names == {f"disk:{tmp_path}": {f"sha256-{digest}": ("qwen3:8b",)}}


async def test_takes_names_of_any_bytes(tmp_path: Path) -> None:
    """Two hundred of the longest names that are no text, and worse ones, come out as valid series."""
    for number in range(200):
        sized(tmp_path / os.fsdecode(b"\xff" * 252 + b"%03d" % number), 2**21 + number)
    for name in ("new\nline", 'quo"te\\', "\x7f"):
        (tmp_path / name).mkdir()
    values = series((await collect(tmp_path)).families)
    entries = [value for name, value in values.items() if name.startswith("grid_directory_entry_size_bytes")]
    assert len(entries) == 201
    assert (
        sum(entries)
        == sum(2**21 + number for number in range(200)) + 3 * tmp_path.joinpath("\x7f").stat().st_size
    )


async def test_fails_where_there_is_no_directory(tmp_path: Path) -> None:
    """A directory that isn't there is a reason in words; the root's file system is exported all the same."""
    with pytest.raises(ProbeError) as caught:
        await collect(tmp_path / "absent")
    assert caught.value.reason == f"{tmp_path}/absent does not exist"
    assert caught.value.hint
    values = series(caught.value.families)
    assert {name.partition("{")[0] for name in values} == {
        "grid_filesystem_size_bytes",
        "grid_filesystem_free_bytes",
        "grid_filesystem_avail_bytes",
        "grid_filesystem_read_only",
    } | ({"grid_filesystem_inodes", "grid_filesystem_inodes_free"} if os.statvfs("/").f_files else set())
    assert all('mountpoint="/"' in name for name in values)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise MemoryError", "ended early: MemoryError"),
        ("import os; os.kill(os.getpid(), 9)", "ended early: ended by SIGKILL"),
        ("print('x' * 100)", "output is invalid"),
        ("while True: print('x' * 10000)", "printed more than"),
    ],
)
async def test_fails_where_the_scan_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    """A scan that dies, is killed, or prints anything else is a failure with its reason, never a value."""
    scanner = tmp_path / "scanner.py"
    scanner.write_text(script)
    monkeypatch.setattr(disk, "SCANNER", scanner)
    with pytest.raises(ProbeError, match=reason):
        await collect(tmp_path)


async def test_fails_without_a_table_of_mounts(tmp_path: Path) -> None:
    """Where /proc can't be read the reason says so."""
    (probe,) = build(Settings(directories=(str(tmp_path),)), Host(proc=tmp_path))
    with pytest.raises(ProbeError, match="self/mountinfo can't be read: No such file or directory"):
        await probe.run()


@pytest.mark.skipif(not shutil.which("ionice"), reason="no ionice here")
async def test_scans_with_idle_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan gets the disk only when nobody else wants it."""
    scanner = tmp_path / "scanner.py"
    scanner.write_text(
        "import os, subprocess, sys\n"
        "sys.exit(subprocess.run(['ionice', '-p', str(os.getpid())], capture_output=True, text=True).stdout)"
    )
    monkeypatch.setattr(disk, "SCANNER", scanner)
    with pytest.raises(ProbeError, match="ended early: idle"):
        await collect(tmp_path)


async def test_scans_where_there_is_no_ionice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without that tool is scanned all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await collect(tmp_path)).families


def test_gives_each_directory_a_probe_of_its_own() -> None:
    """Each is named by its path, and is the same probe as before when another is added or taken out."""
    settings = Settings(directories=("/ai/models", "/srv//models/"), ttl=Duration(90))
    one, two = build(settings, Host())
    assert (one.name, two.name) == ("disk:/ai/models", "disk:/srv/models")
    assert one.schedule == two.schedule == Schedule(ttl=Duration(90), wait=Duration(0), timeout=Duration(600))
    (alone,) = build(Settings(directories=("/ai/models",), ttl=Duration(90)), Host())
    assert alone == one
    assert build(Settings(directories=("/ai/models",)), Host()) != [one]


@pytest.mark.parametrize(
    ("path", "written"), [("/", "/"), ("//", "/"), ("/x/", "/x"), ("//x/./y//", "/x/y"), ("/x", "/x")]
)
def test_writes_a_path_in_one_way(path: str, written: str) -> None:
    """However a path is given, its label is one."""
    assert tidy(path) == written


@pytest.mark.parametrize(
    ("directories", "mistake"),
    [
        ("[]", "probes.disk: directories must name at least one, such as [/ai/models]"),
        (
            "[models]",
            "probes.disk: directories must be absolute paths without .., such as /ai/models, got 'models'",
        ),
        (
            "[~/models]",
            "probes.disk: directories must be absolute paths without .., such as /ai/models, got '~/models'",
        ),
        ("['']", "probes.disk: directories must be absolute paths without .., such as /ai/models, got ''"),
        (
            "[/a/../b]",
            "probes.disk: directories must be absolute paths without .., such as /ai/models, got '/a/../b'",
        ),
        ("[/x, /y, /x]", "probes.disk: directories must differ, got '/x' twice"),
        ("[/x, /x/]", "probes.disk: directories must differ, got '/x' twice"),
    ],
)
def test_refuses_directories_that_make_no_sense(directories: str, mistake: str) -> None:
    """What can't be scanned, or would be scanned twice, is one clear line of the configuration."""
    with pytest.raises(ConfigError) as caught:
        parse_config(f"probes: {{disk: {{directories: {directories}}}}}")
    assert str(caught.value) == f"{mistake} (line 1)"


def test_has_its_defaults() -> None:
    """A scan is slow by nature: it runs once a minute, nobody waits for it, and it may take ten minutes."""
    settings = msgspec.convert({"directories": ["/ai/models"]}, KIND.settings)
    assert (settings.ttl, settings.wait, settings.timeout) == (60, 0, 600)


async def test_discovers_the_usual_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration the usual directories that are there are scanned."""
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("HF_HOME", raising=False)
    (tmp_path / "ai/models").mkdir(parents=True)
    assert await discover(Host(root=tmp_path)) == Settings(directories=(f"{tmp_path}/ai/models",))


async def test_says_how_to_name_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is found the note says where it was looked for and how to configure one."""
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("HF_HOME", raising=False)
    note = await discover(Host(root=tmp_path))
    assert isinstance(note, Note)
    assert "/ai/models" in note.text
    parse_config(note.hint)


async def test_names_the_homes_that_it_can_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where models may lie in a home that this user can't read, the note says where and how to go on."""
    unreadable = tuple(f"/home/{user}/.ollama/models" for user in "abcdef")

    async def find_directories(_: Path) -> DirectoryList:
        return DirectoryList(unreadable=unreadable)

    monkeypatch.setattr("exporter.probes.disk.discovery.find_directories", find_directories)
    note = await discover(Host(root=tmp_path))
    assert isinstance(note, Note)
    assert "6 of these it can't read: /home/a/.ollama/models, /home/b" in note.text
    parse_config(note.hint)
    assert unreadable[0] in note.hint
