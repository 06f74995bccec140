"""The Debian package: built in a clean tree of its release; installed, upgraded and purged by apt there."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon import PROJECT
from tests.real import debian
from tests.real.installation import RELEASES, SOURCE, WHEELS, download_wheels
from tests.real.lived_in import UNIT, working
from tests.real.systemd_world import World, memory, until, world

pytestmark = [
    pytest.mark.real("systemd-nspawn", "nsenter", "setpriv", "mmdebstrap", "git"),
    pytest.mark.timeout(1800),
]

BUILD = "cd /usr/src/grid-exporter && dpkg-buildpackage -us -uc -b"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
APT = ("apt-get", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold")


@dataclass
class Built:
    """A release's root with both packages in /usr/src. layer: what was changed in it."""

    system: Path
    layer: Path
    place: Path


@pytest.fixture(scope="module", params=RELEASES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Two versions of the package, built in that release without any network."""
    system = debian.system(request.param)
    place = tmp_path_factory.mktemp(f"package-{request.param}")
    with memory(place):
        (place / "build").mkdir()
        with world(place / "build", system=system) as box:
            _copy_tracked(box.root / SOURCE.lstrip("/"))
            download_wheels(system, box.root / WHEELS.lstrip("/"))
            box.boot()
            for version in ("0.2.0", "0.2.1"):
                changelog = f"grid-exporter ({version}) unstable; urgency=medium\n\n  * A test.\n\n"
                changelog += " -- Nobody <nobody@example.org>  Sat, 28 Nov 2026 00:00:00 +0000\n"
                box.put(f"{SOURCE}/debian/changelog", changelog)
                done = box.try_run("sh", "-c", BUILD, env=OFFLINE)
                assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield Built(system, place / "build/upper", place)


@pytest.fixture
def box(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """That release, booted, with the packages at hand and none of them installed."""
    base = built.place / tmp_path_factory.mktemp("box").name
    base.mkdir()
    with world(base, built.layer, system=built.system) as made:
        # Where this machine has one, it keeps packages from starting their services.
        (made.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        made.boot()
        yield made


def package(version: str) -> str:
    return f"/usr/src/grid-exporter_{version}_amd64.deb"


def apt(box: World, *arguments: str) -> str:
    """Runs apt-get, which has to succeed, and reaches no network."""
    return box.run(*APT, *arguments, env={"DEBIAN_FRONTEND": "noninteractive"})


def test_from_installation_to_purge(box: World) -> None:
    """Installed it runs; an upgrade keeps the owner's settings and AIDE's state; a purge leaves nothing."""
    apt(box, "install", package("0.2.0"))
    until(lambda: {"host", "services"} <= working(box))
    assert box.show(UNIT, "User") == "grid-exporter"
    assert box.show("grid-aide-accept.path", "ActiveState") == "inactive"
    assert "✓ host" in box.try_run("grid-exporter", "doctor", user="grid-exporter").stdout

    settings = 'ARGS="--config.file=/etc/grid-exporter/config.yml"\n'
    box.put("/etc/default/grid-exporter", settings)
    box.put("/etc/grid-exporter/config.yml", "probes: {host: {}}\n")
    box.put("/var/lib/grid-exporter-aide/kept", "")
    apt(box, "install", package("0.2.1"))
    until(lambda: working(box) == {"host"})
    assert box.run("cat", "/etc/default/grid-exporter") == settings
    assert "0.2.1" in box.run("dpkg-query", "-W", "grid-exporter")

    apt(box, "remove", "grid-exporter")
    assert box.get("/metrics")[0] == 0
    assert box.run("cat", "/etc/default/grid-exporter") == settings
    box.run("test", "-e", "/var/lib/grid-exporter-aide/kept")
    apt(box, "purge", "grid-exporter")
    left = ("/usr/lib/grid-exporter", "/etc/default/grid-exporter", "/var/lib/grid-exporter-aide")
    assert [path for path in left if box.try_run("test", "-e", path).returncode == 0] == []
    assert "Traceback" not in box.journal()


@pytest.mark.parametrize("built", ["bookworm"], indirect=True)
@pytest.mark.real("lintian")
def test_lintian_finds_no_error(built: Built) -> None:
    """What Debian's own checker says of the package."""
    file = built.layer / package("0.2.0").lstrip("/")
    done = subprocess.run(
        ["lintian", "--fail-on=error", "--allow-root", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _copy_tracked(place: Path) -> None:
    """A clean tree: what git has of the project."""
    place.mkdir(parents=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout
    argv = ["xargs", "-0", "cp", "--parents", "-t", str(place)]
    subprocess.run(argv, cwd=PROJECT, input=files, check=True)
