"""What every test stands on: real programs are used where they are, and skipped aloud where they are not."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes on a busy machine says nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Of whole programs: daemons, booted systems, faults of the whole process. `make test` leaves them out.
SYSTEM_TESTS = tuple(Path(__file__).parent / name for name in ("real", "faults", "bench"))

# What a shell starts with an & ignores SIGINT, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of whole programs by the folder that they are in, or by what they need."""
    for item in items:
        if item.get_closest_marker("real") or any(item.path.is_relative_to(home) for home in SYSTEM_TESTS):
            item.add_marker("system")


@pytest.fixture
def tree() -> Iterator[Path]:
    """A directory that every user may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this machine has no part for, and says which."""
    for marker in item.iter_markers("real"):
        if os.geteuid() != 0:
            pytest.skip("needs root")
        missing = [program for program in marker.args if not shutil.which(program)]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
    if item.get_closest_marker("gpu") and not list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("no NVIDIA card here")
    if item.get_closest_marker("grafana") and not shutil.which("grafana"):
        pytest.skip("no Grafana here")
