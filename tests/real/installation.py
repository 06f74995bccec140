"""grid-exporter as `make install` puts it into a freshly booted Debian, once for each release.

Each of them boots a box of its own on what that left, so none is in another's way.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.daemon import PROJECT
from tests.real import debian
from tests.real.systemd_world import World, memory, world

SOURCE = "/usr/src/grid-exporter"
WHEELS = "/usr/src/wheels"
NEEDED = ("systemd-nspawn", "nsenter", "setpriv", "make", "curl")
DASHBOARDS_LOCK = "requirements-dashboards.lock"
RELEASES = ("bookworm", "trixie")


@dataclass
class Installation:
    """What a box's `make install` left.

    system: the root of the release. output: what it printed. place: where more boxes can be put.
    """

    system: Path
    place: Path
    layer: Path
    output: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def box(self) -> Iterator[World]:
        """A box on which grid-exporter is installed; not booted yet."""
        with _fresh(self.place / f"box-{next(self.numbers)}", self.layer, system=self.system) as box:
            yield box


def make(box: World, *arguments: str) -> str:
    """Runs make in the project's folder, without any network; what it printed."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
    return box.run("make", "--no-print-directory", "-C", SOURCE, *arguments, env=offline)


@pytest.fixture(scope="session", params=RELEASES)
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """grid-exporter, installed by its own `make install` in a Debian of each release that was just booted."""
    system = debian.system(request.param)
    place = tmp_path_factory.mktemp("boxes")
    wheels = tmp_path_factory.mktemp("wheels")
    download_wheels(system, wheels)
    with memory(place):
        with _fresh(place / "installing", system=system) as box:
            _copy_project(box.root / SOURCE.lstrip("/"))
            shutil.copytree(wheels, box.root / WHEELS.lstrip("/"))
            box.boot()
            output = make(box, "install")
        yield Installation(system, place, place / "installing/upper", output)


@contextlib.contextmanager
def _fresh(base: Path, *lower: Path, system: Path) -> Iterator[World]:
    base.mkdir()
    with world(base, *lower, system=system) as box:
        yield box


def download_wheels(system: Path, place: Path) -> None:
    """Fetches the wheels that the lock names, for the release's own Python."""
    version = (system / "usr/bin/python3").readlink().name.removeprefix("python")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"),
            *(f"--python-version={version}", "--require-hashes"),
            *("-r", str(PROJECT / "requirements.lock"), "-r", str(PROJECT / DASHBOARDS_LOCK)),
            *("-d", str(place)),
        ],
        check=True,
    )


def _copy_project(place: Path) -> None:
    """Copies what an installation is made of: no test has a say in it."""
    place.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE", "requirements.lock", DASHBOARDS_LOCK):
        shutil.copy(PROJECT / name, place)
    for name in ("exporter", "systemd", "prometheus", "grafana"):
        shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
