"""A host for AMD's and Intel's cards."""

from pathlib import Path

import pytest

from exporter.probe import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without a card, a process or a list of devices."""
    (tmp_path / "sys/class/drm").mkdir(parents=True)
    return Host(
        proc=tmp_path / "proc", sys=tmp_path / "sys", cgroup=tmp_path / "cgroup", root=tmp_path / "root"
    )
