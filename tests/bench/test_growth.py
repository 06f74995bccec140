from pathlib import Path

from tests.bench.calm import Calm
from tests.bench.growth import Growth, tables
from tests.bench.load import Effort

GROWTHS = (
    Growth("containers", "containers", "count", (2, 6)),
    Growth("GPUs", "gpu", "gpus", (1, 3)),
    Growth("models", "disk", "models", (20, 300)),
)


def test_a_larger_box_starts_no_more_processes(tmp_path: Path) -> None:
    """Two for the engine, two for the cards and one for a directory, however many things there are."""
    (table,) = tables(tmp_path, Calm(timeout=0), Effort(rounds=1), GROWTHS)
    processes = table.columns.index("processes")
    assert [row.values[processes] for row in table.rows] == ["2", "2", "2", "2", "1", "1"]
