"""Debian's releases as file systems: this machine's own root, or one made of packages by mmdebstrap."""

from __future__ import annotations

import os
import re
import subprocess
import zlib
from pathlib import Path

import pytest

# Made once and kept: what boots in it works on an overlay.
KEPT = Path("/var/tmp/grid-exporter-tests")
PACKAGES = (
    *("systemd", "dbus", "polkitd", "procps", "iproute2", "kmod", "sudo", "curl", "make", "git", "acl"),
    *("python3", "python3-venv", "aide", "aide-common", "debhelper", "build-essential"),
    *(
        "docker.io",
        "docker-cli",
        "iptables",
        "podman",
        "uidmap",
        "tor",
        "busybox-static",
        "prometheus",
        "prometheus-alertmanager",
    ),
)


def system(release: str) -> Path:
    """The root of a Debian of this release; skips where it can't be made."""
    here = Path("/etc/os-release").read_text(encoding="utf-8")
    if re.search(rf"^VERSION_CODENAME={release}$", here, re.MULTILINE):
        return Path("/")
    root = KEPT / f"{release}-{zlib.crc32(repr(PACKAGES).encode()):08x}"
    if not root.exists():
        _make(release, root)
    return root


def _make(release: str, root: Path) -> None:
    KEPT.mkdir(exist_ok=True)
    new = root.with_suffix(f".{os.getpid()}")
    mirrors = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True
    ).stdout.split()
    mirror = next((uri for uri in mirrors if uri.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        pytest.skip("apt names no mirror of Debian here")
    options = ("--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}")
    subprocess.run(["mmdebstrap", *options, release, str(new), mirror], check=True, timeout=900)
    new.rename(root)
