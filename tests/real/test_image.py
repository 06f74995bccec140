"""The image, built and run by a real Docker daemon on a base that is made of Debian's packages."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import __version__
from tests.daemon import PROJECT
from tests.real import debian
from tests.real.dockerd import Docker
from tests.real.installation import download_wheels

pytestmark = [pytest.mark.real("dockerd", "mmdebstrap"), pytest.mark.timeout(1800)]

BASE, IMAGE = "test/debian:13", "test/grid-exporter:1"
MOUNTS = ("--volume=/proc:/host/proc:ro", "--volume=/sys:/host/sys:ro")


@pytest.fixture(scope="module")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built without any network."""
    system = debian.system("trixie")
    packed = ("tar", "-C", str(system), "--exclude=./var/cache", "--exclude=./usr/share/doc", "-c", ".")
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
        argv = [*docker.argv, "import", "-", BASE]
        subprocess.run(argv, stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
    context = tmp_path_factory.mktemp("image") / "context"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "tests", "docs", "dist")
    shutil.copytree(PROJECT, context, ignore=ignored)
    download_wheels(system, context / "wheels")
    arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/src/wheels"}
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    docker(
        "build",
        "--network=none",
        f"--tag={IMAGE}",
        "--file",
        f"{context}/Containerfile",
        *given,
        str(context),
    )
    yield IMAGE
    docker("image", "rm", "--force", IMAGE, BASE)


def test_it_serves_the_host_as_nobody(docker: Docker, image: str) -> None:
    """It reads the host's own /proc, has no rights, and its doctor says what can't be seen from inside."""
    assert docker("run", "--rm", "--network=none", image, "--version") == f"grid-exporter {__version__}"
    probed = docker("run", "--rm", "--network=none", *MOUNTS, image, "probe", "host")
    total = re.search(r"^grid_memory_total_bytes (\S+)", probed, re.MULTILINE)
    of_the_host = re.search(r"^MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert total is not None
    assert of_the_host is not None
    assert float(total[1]) == int(of_the_host[1]) * 1024
    doctor = docker("run", "--rm", "--network=none", *MOUNTS, image, "doctor")
    assert "✓ host" in doctor
    assert re.search(r"^ +- services", doctor, re.MULTILINE)
    assert docker("run", "--rm", "--network=none", "--entrypoint=/usr/bin/id", image, "-u") == "65534"
