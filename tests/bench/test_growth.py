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
    """Two for the engine, one for a directory; two for cards whose memory changed, else one."""
    (table,) = tables(tmp_path, Calm(timeout=0), Effort(rounds=1), GROWTHS)
    processes = table.columns.index("processes")
    counts = [row.values[processes] for row in table.rows]
    assert counts[:2] == ["2", "2"]
    assert set(counts[2:4]) <= {"1", "2"}
    assert counts[4:] == ["1", "1"]
