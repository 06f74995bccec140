"""A real systemd, booted in less than a second on a throw-away overlay of this machine's own root.

    with world(base) as box:
        box.put("/etc/systemd/system/a.service", text)
        box.boot()
        box.run("systemctl", "start", "a")

systemctl, D-Bus and every sandbox are real; the network is the box's own and has nothing but loopback.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TIMEOUT = 60.0  # seconds that anything here may take on a busy machine
CGROUPS = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup")]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Enters the control groups named before --, then becomes the program named after it.
IN_GROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
# What Debian's packages would start by other ways than their own .wants, which are taken out below.
UNWANTED = (
    *("docker.service", "docker.socket", "containerd.service", "podman.socket", "tor@default.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-timesyncd.service"),
    *("prometheus.service", "prometheus-alertmanager.service", "prometheus-node-exporter.service"),
)


@dataclass
class World:
    """A box. root: its file system, to be looked at and written from outside too."""

    root: Path
    log: Path
    name: str = field(default_factory=lambda: f"box-{secrets.token_hex(4)}")
    nspawn: subprocess.Popen[bytes] | None = None

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Writes a file of the box."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def boot(self) -> None:
        """Starts systemd and waits until it has started everything."""
        (self.root / "etc/machine-id").write_text(secrets.token_hex(16) + "\n")
        groups = self._cgroups()
        for group in groups:
            group.mkdir()
        with self.log.open("wb") as log:
            self.nspawn = subprocess.Popen(
                [
                    *("sh", "-c", IN_GROUPS, "sh", *map(str, groups), "--"),
                    *("systemd-nspawn", f"--machine={self.name}", f"--directory={self.root}", "--boot"),
                    *("--private-network", "--register=no", "--keep-unit", "--link-journal=no"),
                    *("--resolv-conf=off", "--timezone=off", "--console=pipe"),
                    *("--kill-signal=SIGRTMIN+4", "--capability=all"),
                    "--system-call-filter=bpf keyctl add_key request_key",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        until(self._is_up, lambda: f"systemd did not come up:\n{self.log.read_text(errors='replace')}")

    def power_off(self) -> None:
        """Pulls the plug: with its first process all others of the box are gone."""
        if self.nspawn is None:
            return
        os.kill(self._pid1() or self.nspawn.pid, signal.SIGKILL)
        self.nspawn.wait(TIMEOUT)
        self.nspawn = None
        until(lambda: all(map(_removed, self._cgroups())), lambda: f"processes of {self.name} are left")

    def try_run(
        self, *argv: str, user: str = "root", env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the box as this user with all of its groups, however it ends."""
        become = ["setpriv", *self._ids(user), "--init-groups"] if user != "root" else []
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        return subprocess.run(
            ["nsenter", f"--target={self._pid1()}", *spaces, "--", *become, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5 * TIMEOUT,
            check=False,
            env={"PATH": PATH, "LANG": "C.UTF-8", **(env or {})},
        )

    def run(self, *argv: str, user: str = "root", env: Mapping[str, str] | None = None) -> str:
        """Runs a command in the box that has to succeed; what it printed."""
        done = self.try_run(*argv, user=user, env=env)
        assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def systemctl(self, *arguments: str) -> str:
        """Runs systemctl, which has to succeed."""
        done = self.try_run("systemctl", *arguments)
        assert done.returncode == 0, (
            f"systemctl {' '.join(arguments)}: {done.stderr}\n{self.journal()[-4000:]}"
        )
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """One of a unit's properties."""
        return self.run("systemctl", "show", "--value", "-p", name, "--", unit).strip()

    def journal(self, unit: str | None = None) -> str:
        """What the journal says, of a unit or of everything."""
        of_unit = [f"--unit={unit}"] if unit else []
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=cat", "--boot", *of_unit)

    def get(self, path: str, *options: str, user: str = "root") -> tuple[int, str]:
        """A request to the exporter: its status, 0 where nobody answers, and its text."""
        url = f"http://127.0.0.1:10058{path}"
        done = self.try_run(
            "curl", "-sg", "--max-time", "30", "-w", "\n%{http_code}", *options, url, user=user
        )
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    def processes(self, unit: str) -> list[int]:
        """All processes of a unit, by the box's own numbers."""
        group = self.show(unit, "ControlGroup")
        done = self.try_run(
            "find", f"/sys/fs/cgroup{group}", "-name", "cgroup.procs", "-exec", "cat", "{}", "+"
        )
        return [int(pid) for pid in done.stdout.split()] if group else []

    def _ids(self, user: str) -> Sequence[str]:
        """How setpriv is told to become this user."""
        known = (line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines())
        return next((f"--reuid={uid}", f"--regid={gid}") for name, _, uid, gid, *_ in known if name == user)

    def _is_up(self) -> bool:
        if self.nspawn is not None and self.nspawn.poll() is not None:
            raise RuntimeError(f"the box went down:\n{self.log.read_text(errors='replace')}")
        if not self._pid1():
            return False
        return self.try_run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}

    def _pid1(self) -> int | None:
        """The box's first process, by this machine's number."""
        if self.nspawn is None:
            return None
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        return next(map(int, children.read_text().split()), None)

    def _cgroups(self) -> Sequence[Path]:
        """Groups of the box's own: without a systemd outside nobody else makes them."""
        return [top / self.name for top in CGROUPS if (top / "cgroup.procs").exists()]


@contextlib.contextmanager
def world(base: Path, *lower: Path, system: Path = Path("/")) -> Iterator[World]:
    """A box that isn't booted yet; at the end it is powered off. What was changed in it stays in base/upper.

    Args:
        base: an empty directory, on a file system that is not part of the box's own root.
        lower: what other boxes left in their base/upper, the uppermost first.
        system: the root that lies below: this machine's own, or that of another release.
    """
    for name in ("upper", "work", "root"):
        (base / name).mkdir()
    layers = ":".join(map(str, (*lower, system)))
    options = f"lowerdir={layers},upperdir={base}/upper,workdir={base}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(base / "root")], check=True)
    box = World(base / "root", base / "boot.log")
    try:
        if not lower:
            _start_nothing(box.root / "etc/systemd/system")
        yield box
    finally:
        box.power_off()
        subprocess.run(["umount", "-l", str(box.root)], check=True)


@contextlib.contextmanager
def memory(place: Path) -> Iterator[Path]:
    """A file system in memory: an overlay's upper directory can't lie on the root that it covers."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4g", "boxes", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def until(is_so: Callable[[], bool], message: Callable[[], str] = lambda: "it did not come to pass") -> None:
    """Waits until something is so."""
    end = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < end, message()
        time.sleep(0.05)


def _removed(group: Path) -> bool:
    """Removes a control group with all groups in it, unless there still are processes."""
    for path, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(path).rmdir()
    return not group.exists()


def _start_nothing(units: Path) -> None:
    """Keeps what this machine's packages enabled from starting in the box."""
    for path in units.iterdir() if units.exists() else ():
        if path.name.endswith((".wants", ".requires")):
            shutil.rmtree(path)
    for unit in UNWANTED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
