"""Real container engines of our own: each in a directory of its own, without any network, gone at the end.

    with dockerd() as docker:
        docker.start("web", "sleep", "1000000", options=("--health-cmd", "true"))

`podman()` gives the same of Podman, which has no daemon.
"""

import contextlib
import io
import json
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMAGE = "test/busybox:1"
FOR_EVER = ("sleep", "1000000")
TIMEOUT = 300.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine.

    argv: its tool's command line, as probes.containers.command takes it. options: what every container needs
    here. removal: how the tool removes containers at once.
    """

    argv: tuple[str, ...]
    options: tuple[str, ...]
    removal: tuple[str, ...]

    def __call__(self, *arguments: str, stdin: bytes = b"") -> str:
        """Runs the tool and gives what it printed."""
        done = subprocess.run([*self.argv, *arguments], input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def build(self, image: str, *changes: str) -> None:
        """Makes an image of busybox alone; changes are lines of a Dockerfile."""
        options = [option for change in changes for option in ("--change", change)]
        self("import", *options, "-", image, stdin=busybox())

    def start(self, name: str, *argv: str, options: Sequence[str] = (), image: str = IMAGE) -> str:
        """Starts a container and gives its id; without argv it runs the image's own command."""
        return self("run", "--detach", "--name", name, *self.options, *options, image, *argv)

    def create(self, name: str, *options: str) -> str:
        """Makes a container that isn't started, and gives its id."""
        return self("create", "--name", name, *self.options, *options, IMAGE, *FOR_EVER)

    def wait(self, name: str, what: Callable[[Any], bool]) -> None:
        """Waits until this is true of a container's `inspect`."""
        until(lambda: what(json.loads(self("inspect", "--type", "container", name))[0]))

    def remove(self, *names: str) -> None:
        """Removes these containers, running or not; without a name every one there is."""
        if names := names or tuple(self("ps", "--all", "--no-trunc", "--quiet").split()):
            self("rm", *self.removal, *names)


@dataclass(frozen=True, kw_only=True)
class Docker(Engine):
    """A Docker daemon. socket: where it listens. daemon: dockerd, to be frozen or killed."""

    socket: Path
    daemon: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops the daemon where it stands: it is there, takes connections, and answers nothing."""
        self.daemon.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemon.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def dockerd(tool: str = "docker") -> Iterator[Docker]:
    """Starts a Docker daemon; at the end it, its containers and all that they left are gone."""
    with _directory() as directory:
        socket = directory / "docker.sock"
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [
                    "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                    f"--data-root={directory}/data", f"--exec-root={directory}/exec",
                    f"--pidfile={directory}/pid", f"--host=unix://{socket}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        argv = (tool, "--host", f"unix://{socket}")
        docker = Docker(
            argv=argv, options=("--network=none",), removal=("--force",), socket=socket, daemon=daemon
        )
        try:
            until(lambda: _answers(docker))
            docker.build(IMAGE)
            yield docker
        finally:
            _stop(docker)


@contextlib.contextmanager
def podman() -> Iterator[Engine]:
    """Podman with a storage of its own, in a machine without systemd."""
    with _directory() as directory:
        engine = Engine(
            argv=(
                "podman", "--cgroup-manager=cgroupfs", "--runtime=runc", "--events-backend=file",
                f"--root={directory}/data", f"--runroot={directory}/run",
            ),
            options=("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
            removal=("--force", "--time=0"),
        )  # fmt: skip
        try:
            engine.build(IMAGE)
            yield engine
        finally:
            engine.remove()


@contextlib.contextmanager
def podman_service(engine: Engine) -> Iterator[str]:
    """Podman's API, which answers as Docker's does; gives its address."""
    with _directory() as directory:
        socket = directory / "podman.sock"
        argv = [*engine.argv, "system", "service", "--time=0", f"unix://{socket}"]
        service = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            until(socket.exists)
            yield f"unix://{socket}"
        finally:
            service.terminate()
            service.wait()


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """One daemon for all tests of a session: each removes the containers that it starts."""
    with dockerd() as running:
        yield running


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A directory that others may enter, with a name short enough for sockets in it; gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="engine-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        # What Podman starts at a container's end may still be about, and mount its storage anew.
        until(lambda: not processes(f"{directory}/"))
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{directory}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(directory)


def processes(word: str) -> list[str]:
    """The command lines, as far as they have not just ended, that hold this word."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if word in line]


def until(what: Callable[[], object]) -> None:
    """Waits for what another process does.

    Raises:
        TimeoutError: it doesn't.
    """
    end = time.monotonic() + TIMEOUT
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def _answers(docker: Docker) -> bool:
    """Whether the daemon is ready.

    Raises:
        RuntimeError: it has ended, with the end of its log.
    """
    if docker.daemon.poll() is not None:
        raise RuntimeError((docker.socket.parent / "log").read_text()[-2000:])
    try:
        return bool(docker("version"))
    except RuntimeError:
        return False


def _stop(docker: Docker) -> None:
    """Removes the containers first: the daemon waits 10 s for those that ignore SIGTERM."""
    with contextlib.suppress(RuntimeError):
        docker.remove()
    docker.daemon.terminate()
    try:
        docker.daemon.wait(30)
    except subprocess.TimeoutExpired:
        docker.daemon.kill()
        docker.daemon.wait()


def busybox() -> bytes:
    """A root file system as a tar archive: busybox, a few names for it, and what stands for Watchtower."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(shutil.which("busybox") or "/bin/busybox", "bin/busybox")
        for tool in ("sh", "sleep", "cat", "dd", "true", "false"):
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        script = b"#!/bin/sh\nexec sleep 1000000\n"
        watchtower = tarfile.TarInfo("watchtower")
        watchtower.size, watchtower.mode = len(script), 0o755
        tar.addfile(watchtower, io.BytesIO(script))
    return archive.getvalue()
