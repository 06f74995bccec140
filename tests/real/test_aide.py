"""A real AIDE on a real tree: checked, reviewed, accepted, and everything that can go wrong on the way."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.aide.accept import accept
from exporter.aide.accept_request import accept_request
from exporter.aide.check import check
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.proof import make_proof
from exporter.aide.show import show
from exporter.aide.state import load_state
from exporter.aide.summary import Summary
from exporter.web.aide_api import ACCEPT, REPORT, SUMMARY, Action, mount
from tests.aide.store import killed_before

pytestmark = pytest.mark.real("aide", "setpriv")

PROJECT = Path(__file__).parents[2]
CHECK = """
import pathlib, sys
from exporter.aide.check import check
from exporter.aide.files import Paths
state, config = map(pathlib.Path, sys.argv[1:])
sys.exit(check(Paths(state), config))
"""


@dataclass
class World:
    """A tree that AIDE watches, its configuration, and where the checks keep what they know."""

    root: Path

    @property
    def tree(self) -> Path:
        """What is watched."""
        return self.root / "tree"

    @property
    def config(self) -> Path:
        """AIDE's configuration."""
        return self.root / "aide.conf"

    @property
    def database(self) -> Path:
        """The active database."""
        return self.root / "lib" / "aide.db"

    @property
    def paths(self) -> Paths:
        """The checks' directory, inside the watched tree."""
        return Paths(self.tree / "state")

    def configure(self, *options: str, attributes: str = "p+u+g+ftype+s+sha256") -> None:
        """Writes AIDE's configuration."""
        database = f"file:{self.database}"
        lines = [
            f"database_in={database}",
            f"database_out={database}.new",
            *options,
            f"{self.tree} {attributes}",
        ]
        self.config.write_text("\n".join([*lines, ""]))

    def init(self) -> None:
        """Makes a first database, as a person does."""
        subprocess.run(
            ["aide", "--config", self.config, "--init"], check=True, capture_output=True, timeout=60
        )
        Path(f"{self.database}.new").rename(self.database)

    def check(self) -> Summary:
        """A check, and what it left."""
        code = check(self.paths, self.config)
        summary = self.summary()
        assert code == (0 if summary.success else 1)
        return summary

    def start(self, *prefix: str) -> subprocess.Popen[str]:
        """A check in a process of its own."""
        argv = [*prefix, sys.executable, "-c", CHECK, str(self.paths.state), str(self.config)]
        return subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def summary(self) -> Summary:
        """What the last check left."""
        summary = load_state(self.paths).summary
        assert summary
        return summary

    def found(self) -> set[tuple[str, str]]:
        """What a check finds now: how it changed, and its name in the tree."""
        findings = self.check().findings
        return {(one.change, one.path.removeprefix(f"{self.tree}/")) for one in findings}

    def failed(self, reason: str, offered: str = "") -> None:
        """Sees that a check fails for this reason, and that nothing can be accepted then."""
        before = self.database.read_bytes() if self.database.is_file() else None
        summary = self.check()
        assert not summary.success
        assert re.search(reason, summary.reason), summary.reason
        assert (summary.id, summary.findings, summary.clean) == ("", (), False)
        assert not [path for path in self.paths.private.glob("*.db") if path != self.paths.previous]
        assert accept(offered or "0" * 64, self.paths) == 1
        assert (self.database.read_bytes() if self.database.is_file() else None) == before


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A small tree with its first database."""
    world = World(tmp_path)
    (world.tree / "sub").mkdir(parents=True)
    world.database.parent.mkdir()
    (world.tree / "a").write_text("a")
    (world.tree / "sub" / "b").write_text("b")
    world.configure()
    world.init()
    return world


@pytest.fixture
def slow(world: World) -> World:
    """A tree that AIDE reads for minutes: a file of 200 GB, most of it nothing."""
    with (world.tree / "huge").open("wb") as file:
        file.truncate(200 << 30)
    return world


@pytest.mark.parametrize("zipped", ["yes", "no"])
def test_the_journey(world: World, capsys: pytest.CaptureFixture[str], zipped: str) -> None:
    """From a clean check over changes and their review to the accepted database, and clean again."""
    world.configure(f"gzip_dbout={zipped}")
    assert world.check().clean
    (world.tree / "new").write_text("new")
    (world.tree / "a").write_text("changed")
    (world.tree / "sub" / "b").unlink()
    assert world.found() == {("added", "new"), ("changed", "a"), ("removed", "sub/b")}
    summary = world.summary()
    assert (summary.added, summary.removed, summary.changed, summary.total, summary.exit_code) == (
        1,
        1,
        1,
        4,
        7,
    )
    capsys.readouterr()
    assert show(world.paths) == 1
    shown = capsys.readouterr().out
    assert f"changed  f {world.tree}/a\n           size: 1 -> 7\n           sha256: " in shown
    assert f"sudo grid-exporter aide accept {summary.id}" in shown
    mode = world.database.stat().st_mode
    assert accept(summary.id, world.paths) == 0
    assert world.database.stat().st_mode == mode
    assert world.database.read_bytes().startswith(b"\x1f\x8b" if zipped == "yes" else b"@@begin_db")
    clean = world.check()
    assert clean.clean
    assert clean.database_sha256 == summary.id
    assert show(world.paths) == 0


def test_what_changed_since_the_check_is_not_accepted(world: World) -> None:
    """A file that is exchanged between the check and the accept is a finding of the next check."""
    (world.tree / "new").write_text("harmless")
    assert world.found() == {("added", "new")}
    (world.tree / "new").write_text("evil\x00me")
    (world.tree / "later").write_text("x")
    assert accept(world.summary().id, world.paths) == 0
    assert world.found() == {("changed", "new"), ("added", "later")}


def test_without_a_database(world: World) -> None:
    """A first check without a database fails with the way to make one."""
    world.database.unlink()
    world.failed("there is no database")
    assert "init" in world.summary().hint


def _cut(share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _zip(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes())[:-6])


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no database\n"),
    "binary": lambda path: path.write_bytes(os.urandom(1000)),
    "no entries": lambda path: path.write_text("@@begin_db\n@@db_spec name attr \n@@end_db\n"),
    "cut off at its start": _cut(0.1),
    "cut off in the middle": _cut(0.6),
    "cut off at its end": _cut(0.99),
    "a bit": _flip,
    "a line": lambda path: path.write_text(re.sub(r"\n/[^\n]*/a [^\n]*", "", path.read_text())),
    "a directory": _directory,
    "a fifo": _fifo,
    "compressed and cut off": _zip,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_database(world: World, how: str) -> None:
    """However the database breaks, the check fails: no finding, not clean, nothing on offer."""
    offered = world.check().id
    BROKEN[how](world.database)
    world.failed(r"there is no|invalid|cannot be read|not the one that was last checked", offered)


@pytest.mark.parametrize("how", [how for how in BROKEN if how not in {"a bit", "a line"}])
def test_a_database_that_was_broken_from_the_start(world: World, how: str) -> None:
    """Where no digest is known yet, the database itself must be whole."""
    BROKEN[how](world.database)
    world.failed(r"there is no|invalid|cannot be read")


def test_a_database_that_was_made_anew(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A database made anew is another one, until a person confirms it."""
    world.check()
    (world.tree / "new").write_text("x")
    world.init()
    world.failed("not the one that was last checked or accepted")
    assert f"sudo rm {world.paths.trusted}" in world.summary().hint
    world.paths.trusted.unlink()
    assert world.check().clean


def test_the_database_before_is_restored(world: World) -> None:
    """The database that an accept replaced is whole, and works in its old place again."""
    (world.tree / "new").write_text("x")
    assert accept(world.check().id, world.paths) == 0
    shutil.copy(world.paths.previous, world.database)
    world.failed("not the one")
    world.paths.trusted.unlink()
    assert world.found() == {("added", "new")}


def test_unreadable_directory_fails_the_check(world: World) -> None:
    """An unreadable directory makes a failed check, not one with its files removed."""
    os.chown(world.tree / "sub", 65534, 65534)
    (world.tree / "sub").chmod(0o700)
    world.init()
    with world.start("setpriv", "--bounding-set=-dac_override,-dac_read_search") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    summary = world.summary()
    assert not summary.success
    assert f"opendir() failed for '{world.tree}/sub'" in summary.reason
    assert "to fix it: have it readable, or leave it out" in stderr


def test_unreadable_file_fails_the_check(world: World) -> None:
    """An unreadable file makes a failed check, though AIDE calls it okay with exit status 0."""
    os.chown(world.tree / "a", 65534, 65534)
    (world.tree / "a").chmod(0o600)
    world.init()
    with world.start("setpriv", "--bounding-set=-dac_override,-dac_read_search") as process:
        process.communicate(timeout=60)
    summary = world.summary()
    assert (process.returncode, summary.success, summary.exit_code) == (1, False, 0)
    assert "open() failed" in summary.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense here\n", "refuses its configuration: .*nonsense"),
        ("@@include /nonexistent\n", "refuses its configuration"),
        ("/tmp p\n", "names no database"),
        ("database_in=stdin\n/tmp p\n", "database_in is stdin"),
        ("", "names no database|refuses"),
    ],
)
def test_a_configuration_that_does_not_work(world: World, text: str, reason: str) -> None:
    """A configuration that AIDE refuses, or that names no database, is a failed check with that reason."""
    world.config.write_text(text)
    world.failed(reason)


def test_no_configuration(world: World) -> None:
    """A missing configuration is a failed check."""
    world.config.unlink()
    world.failed("refuses its configuration")


def test_a_report_of_the_owners_that_cannot_be_written(world: World) -> None:
    """Where AIDE cannot write what its configuration asks for, that is a failed check."""
    world.configure(f"report_url=file:{world.root}/nowhere/report")
    world.failed("AIDE failed: .*/nowhere/report")


def test_rules_that_match_nothing(world: World) -> None:
    """Where the rules have nothing in common with the database, no finding can be believed."""
    world.config.write_text(world.config.read_text().replace(f"{world.tree} ", f"{world.root}/other "))
    world.failed("has no entry|knows no file")


def test_the_owners_report_options(world: World) -> None:
    """Options for other reports change nothing of ours, and what it ignores stays ignored."""
    others = [
        "level=minimal",
        "quiet=yes",
        "append=yes",
        "grouped=no",
        "summarize_changes=no",
        "format=plain",
    ]
    world.configure(
        "report_ignore_changed_attrs=p", *(f"report_{option}" for option in others), "report_url=stdout"
    )
    assert world.check().clean
    (world.tree / "a").chmod(0o600)
    assert world.check().clean
    (world.tree / "new").touch()
    assert world.found() == {("added", "new")}


@pytest.mark.parametrize("attributes", ["database_attrs=E", "database_add_metadata=no", "num_workers=0"])
def test_other_options(world: World, attributes: str) -> None:
    """Options that change the form of database and report are understood."""
    world.configure(attributes)
    (world.tree / "new").touch()
    assert world.found() == {("added", "new")}
    assert accept(world.summary().id, world.paths) == 0
    assert world.check().clean


def test_a_configuration_of_many_words(world: World) -> None:
    """However many notices AIDE gives of its configuration, the database that it reads is found."""
    world.configure(*(f"database_new=file:/nonexistent/{'x' * 100}" for _ in range(2000)))
    assert world.check().clean


def test_a_configuration_that_is_a_program(world: World) -> None:
    """Included files, executed ones as on Debian, and variables come to the database that AIDE reads."""
    parts = world.root / "conf.d"
    parts.mkdir(mode=0o755)
    (parts / "10").write_text(f"#!/bin/sh\necho @@define DB {world.database}\n")
    (parts / "10").chmod(0o755)
    (parts / "20").write_text(f"database_in=file:@@{{DB}}\n{world.tree} p+sha256\n")
    world.config.write_text(f"database_out=file:{world.root}/unused\n@@x_include {parts} ^[0-9]+$\n")
    summary = world.check()
    assert summary.success
    assert summary.database == str(world.database)
    assert not (world.root / "unused").exists()


def test_a_database_behind_a_link(world: World) -> None:
    """A database that the configuration names by a link is accepted where it really is."""
    real = world.root / "elsewhere.db"
    world.database.rename(real)
    world.database.symlink_to(real)
    (world.tree / "new").touch()
    assert accept(world.check().id, world.paths) == 0
    assert world.database.is_symlink()
    assert world.check().clean


def test_weird_names(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of any bytes are found, shown safely and apart, and accepted."""
    names = [
        b"bad\xffutf", b'quote"x', b"new\nline", b"esc\x1b[31m", b"esc'[31m", b"back\\slash", b"sp ace",
        b"tab\tx", b"rtl\xe2\x80\xaetxt", b'x"},"number_of_entries": {"total": 1', b"\x01", b"\x7f",
        b"x" * 255, b"#", b"@@end_db", b"state2",
    ]  # fmt: skip
    for name in names:
        Path(os.fsdecode(os.fsencode(world.tree) + b"/" + name)).write_text("x")
    summary = world.check()
    assert summary.added == len({finding.path for finding in summary.findings}) == len(names)
    capsys.readouterr()
    show(world.paths)
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))
    assert accept(summary.id, world.paths) == 0
    assert world.check().clean


def test_more_than_a_person_reads(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary lists a bounded number of each kind, counts all, and `show` has them all for root."""
    world.configure(attributes="p+sha256")
    world.init()
    (world.tree / "a").write_text("changed")
    for number in range(700):
        (world.tree / f"n{number}").touch()
    summary = world.check()
    assert (summary.added, summary.changed, len(summary.findings), summary.unlisted) == (700, 1, 301, 400)
    assert "changed" in {finding.change for finding in summary.findings}
    capsys.readouterr()
    show(world.paths)
    assert sum(line.startswith("added ") for line in capsys.readouterr().out.splitlines()) == 700


def test_files_that_change_meanwhile_do_not_fail_the_check(world: World) -> None:
    """Files that come, go and grow while they are checked do not fail the check."""
    world.configure(attributes="p+u+g+ftype+s+acl+xattrs+sha256")
    for number in range(300):
        (world.tree / f"n{number}").write_text("x")
    world.init()
    busy = (
        "import pathlib, sys\ntree = pathlib.Path(sys.argv[1])\n"
        "while True:\n"
        "    with (tree / 'log').open('ab') as log: log.write(bytes(9000))\n"
        "    for i in range(50): (tree / f'{i}.tmp').touch()\n"
        "    for i in range(50): (tree / f'{i}.tmp').unlink()\n"
    )
    with subprocess.Popen([sys.executable, "-c", busy, str(world.tree)]) as writer:
        try:
            for _ in range(5):
                summary = world.check()
                assert summary.success, summary.reason
                assert ("added", f"{world.tree}/log") in {(one.change, one.path) for one in summary.findings}
        finally:
            writer.kill()


def _child(pid: int) -> int:
    """The pid of the process's AIDE, once it compares."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            argv = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"aide") and b"--update" in argv:
                return int(child)
        time.sleep(0.01)
    raise TimeoutError


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def running(slow: World) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A check that would take minutes, and its AIDE."""
    slow.configure()
    with slow.start() as process:
        aide = 0
        try:
            aide = _child(process.pid)
            yield process, aide
        finally:
            process.kill()
            if aide and not _gone(aide):
                os.kill(aide, signal.SIGKILL)


def test_aide_is_killed(slow: World, running: tuple[subprocess.Popen[str], int]) -> None:
    """An AIDE that is killed makes a failed check, and its half report and database are gone."""
    process, aide = running
    os.kill(aide, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert slow.summary().reason == "AIDE failed: ended by SIGKILL"
    assert not slow.paths.work.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_check_is_stopped(
    slow: World, running: tuple[subprocess.Popen[str], int], number: signal.Signals
) -> None:
    """A check that is stopped takes its AIDE along, which would ignore it, and leaves a failed check."""
    process, aide = running
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert slow.summary().reason == "it was stopped before it ended"
    assert _gone(aide)


def test_everything_is_killed(slow: World, running: tuple[subprocess.Popen[str], int]) -> None:
    """A check that is killed with its AIDE, as at a power cut, is a failed one, and the next one works."""
    process, aide = running
    assert load_state(slow.paths).under_way == "check"
    assert check(slow.paths, slow.config) == 1  # one at a time
    assert accept("0" * 64, slow.paths) == 1
    process.kill()
    os.kill(aide, signal.SIGKILL)
    process.communicate(timeout=60)
    now = load_state(slow.paths)
    assert now.under_way is None
    assert now.summary
    assert now.summary.reason == "the check was killed before it ended"
    (slow.tree / "huge").unlink()
    assert slow.check().clean


def test_a_check_that_takes_too_long(slow: World) -> None:
    """A check has its time, and a failed one has no AIDE left."""
    assert check(slow.paths, slow.config, timeout=0.5) == 1
    assert slow.summary().reason == "it was ended after 0.5 s"


def test_the_database_is_replaced_meanwhile(slow: World, running: tuple[subprocess.Popen[str], int]) -> None:
    """What was compared with a database that was replaced is refused."""
    process, _ = running
    shutil.copy(slow.database, slow.root / "copy")
    with slow.database.open("a") as file:
        file.write("# another\n")
    with (slow.tree / "huge").open("r+b") as file:
        file.truncate(0)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was replaced while it was checked" in stderr


def test_a_full_disk(world: World) -> None:
    """A candidate that does not fit on the disk makes a failed check."""
    for number in range(500):
        (world.tree / f"n{number}").touch()
    with exclusive(world.paths, "check"):
        pass
    small = ("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", world.paths.private)
    mounted = subprocess.run(small, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        assert check(world.paths, world.config) == 1
        summary = world.summary()
        assert not summary.success
        assert (summary.id, summary.findings) == ("", ())
    finally:
        subprocess.run(["umount", world.paths.private], check=True)


def test_killed_while_accepting(world: World) -> None:
    """After a kill at any step of an accept the next check takes the active database for whole."""
    (world.tree / "new").touch()
    steps, killed = 0, True
    while killed:
        offered = world.check()
        steps += 1
        killed = killed_before(steps, lambda id_=offered.id: accept(id_, world.paths))  # type: ignore[misc]
        assert world.check().success
    assert steps > 20
    assert world.check().clean


async def test_over_http(world: World, tmp_path: Path) -> None:
    """From a changed file to its accepted database over HTTP, root's service in between."""
    runtime, token_file, key_file = (tmp_path / name for name in ("run", "token", "key"))
    headers = {"Authorization": f"Bearer {'t' * 32}"}
    runtime.mkdir()
    for path, secret in ((token_file, "t" * 32), (key_file, "k" * 32)):
        path.touch(mode=0o600)
        path.write_text(secret)
    (world.tree / "new").touch()
    with world.start() as process:
        process.communicate(timeout=60)
    action = Action(token_file, world.paths, runtime)
    app = web.Application()
    mount(app, lambda: action)
    async with TestClient(TestServer(app)) as client:
        data = await (await client.get(SUMMARY, headers=headers)).read()
        summary = json.loads(data)
        assert [one["path"] for one in summary["findings"]] == [f"{world.tree}/new"]
        body = {"id": summary["id"], "proof": make_proof(data, b"k" * 32)}
        assert (await client.post(ACCEPT, headers=headers, json=body)).status == 202
        assert accept_request(world.paths, runtime, key_file) == 0
        report = await (await client.get(REPORT, headers=headers)).json()
        assert report["accept"]["success"]
    with world.start() as process:
        process.communicate(timeout=60)
    assert world.summary().clean
