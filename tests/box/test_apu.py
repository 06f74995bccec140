"""The demo's second box exports what an APU with a model and a sleeping card do."""

from pathlib import Path

import pytest

from exporter.probe import Host
from exporter.probes.gpu import holders, kernel
from tests.box import apu
from tests.series import series

GIB = 1024**3


def test_second_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its model lies in the host's memory and is its server's; its load moves; the other card sleeps."""
    monkeypatch.setattr(
        holders, "in_own_pid_namespace", lambda _: False
    )  # where the tests run in a container
    apu.make(tmp_path)
    host = Host(tmp_path / "proc", tmp_path / "cgroup", tmp_path / "sys", tmp_path)
    loads = set()
    for moment in range(0, 240, 20):
        apu.move(tmp_path, moment)
        result = kernel.collect(host, "amd", kernel.State(), 0.0)
        found = series(result.families)
        loads.add(found['grid_gpu_utilization_ratio{gpu="amd1",uuid="0000:c1:00.0"}'])
    assert len(loads) > 3
    assert result.notes == ()
    assert found['grid_gpu_memory_total_bytes{gpu="amd1",uuid="0000:c1:00.0"}'] == 124.5 * GIB
    held = {name: value for name, value in found.items() if "process_memory" in name}
    assert held == {
        'grid_gpu_process_memory_bytes{container="",gpu="amd1",model="gpt-oss-120b",'
        'process="llama-server",uuid="0000:c1:00.0"}': apu.MODEL + 200 * 1024**2
    }
    asleep = {name for name in found if 'gpu="amd0"' in name}
    assert {name.partition("{")[0] for name in asleep} == {"grid_gpu_info", "grid_gpu_asleep"}
