from pathlib import Path

import pytest

from tests.bench.calm import Calm
from tests.bench.load import Effort
from tests.bench.minute import tables


@pytest.mark.real("wrk")
def test_a_storm_starts_no_more_runs_than_the_ttls_allow(tmp_path: Path) -> None:
    """Whether the tools are well, fail at once or hang: 100 clients start what one would."""
    (table,) = tables(tmp_path, Calm(timeout=0), Effort(), seconds=3)
    assert len(table.rows) == 18
    assert table.missed() == []
