"""`make release`: the same bytes twice, and a wheel that installs from the built file under every Python."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import __version__
from tests.daemon import PROJECT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

PYTHONS = ("3.11", "3.12", "3.13")


def run(*argv: str | Path, cwd: Path = PROJECT) -> str:
    """Runs a command, which has to succeed; what it printed."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `make release` made of a fresh clone."""
    clone = tmp_path_factory.mktemp("release") / "clone"
    run("git", "clone", "-q", PROJECT, clone)
    run("make", f"PYTHON={sys.executable}", "release", cwd=clone)
    yield clone / "dist"
    shutil.rmtree(clone)


def interpreter(version: str) -> str:
    """A Python of this version, from PATH or pyenv; skips aloud where there is none."""
    places: list[str | Path | None] = [shutil.which(f"python{version}")]
    places += Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")
    for place in places:
        if place is None:
            continue
        code = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return str(place)
    pytest.skip(f"no Python {version} here")


def test_the_same_bytes_twice(released: Path, tmp_path: Path) -> None:
    """Another clone, elsewhere, of the same commit gives the same files."""
    clone = tmp_path / "another folder" / "clone"
    run("git", "clone", "-q", PROJECT, clone)
    run("make", f"PYTHON={sys.executable}", "release", cwd=clone)
    assert (clone / "dist/SHA256SUMS").read_text() == (released / "SHA256SUMS").read_text()


def test_everything_is_there(released: Path) -> None:
    """Wheel, source, bill of materials, licences, and a Debian package where debhelper is."""
    names = {path.name for path in released.iterdir()}
    version = __version__
    expected = {
        f"grid_exporter-{version}-py3-none-any.whl", f"grid_exporter-{version}.tar.gz",
        f"grid-exporter-{version}.cdx.json", "licences.txt", "SHA256SUMS",
    }  # fmt: skip
    if shutil.which("dpkg-buildpackage"):
        expected.add(f"grid-exporter_{version}_amd64.deb")
    assert names == expected


def test_the_bill_of_materials_is_the_locks(released: Path) -> None:
    """Each library that the lock names for this platform, with its version, and no other."""
    (file,) = released.glob("*.cdx.json")
    named = {
        f"{it['name'].replace('_', '-')}=={it['version']}".lower()
        for it in json.loads(file.read_text())["components"]
    }
    locked = set(re.findall(r"^([\w.-]+==[\w.]+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE))
    assert named <= {name.lower() for name in locked}
    assert {name.partition("==")[0] for name in named} >= {
        "aiohttp",
        "prometheus-client",
        "msgspec",
        "pyyaml",
        "bcrypt",
    }
    licences = (released / "licences.txt").read_text().splitlines()
    assert len(licences) == len(named)
    assert not [line for line in licences if line.endswith("not named")]


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_installs(released: Path, tmp_path: Path, version: str) -> None:
    """Into an empty environment, without a build step, and runs from anywhere."""
    python = interpreter(version)
    run(python, "-m", "venv", tmp_path / "venv")
    pip = (tmp_path / "venv/bin/python", "-m", "pip", "-q", "--disable-pip-version-check", "install")
    (wheel,) = released.glob("*.whl")
    run(*pip, "--only-binary=:all:", "--require-hashes", "-r", PROJECT / "requirements.lock")
    run(*pip, "--no-deps", wheel)
    program = tmp_path / "venv/bin/grid-exporter"
    assert run(program, "--version", cwd=tmp_path) == f"grid-exporter {__version__}\n"
    (tmp_path / "config.yml").write_text("probes: {host: {}}\n")
    assert "grid_memory_total_bytes" in run(
        program, "--config.file=config.yml", "probe", "host", cwd=tmp_path
    )


def test_the_wheel_tells_what_it_is(released: Path) -> None:
    """Its metadata name the licence, the repository, and the Python that it needs; types are marked."""
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
        assert "exporter/py.typed" in archive.namelist()
        assert "exporter/status/page.css" in archive.namelist()
    for line in ("License-Expression: Apache-2.0", "Requires-Python: >=3.11"):
        assert line in text
    assert re.search(r"^Project-URL: Repository, https://", text, re.MULTILINE)
