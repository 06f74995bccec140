"""One stack for all tests here, which goes through one timeline."""

from collections.abc import Iterator

import pytest

from tests.real.stack.observatory import Observatory, observing
from tests.real.stack.timeline import Timeline, lived


@pytest.fixture(scope="package")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observatory]:
    """The stack."""
    with observing(tmp_path_factory.mktemp("stack")) as observatory:
        yield observatory


@pytest.fixture(scope="package")
def times(seen: Observatory) -> Timeline:
    """When the box was healthy, broken and repaired."""
    return lived(seen)
