import asyncio
import time

import pytest

from exporter import __version__
from exporter.engine.runner import Runner
from exporter.engine.self_metrics import Reload, SelfMetrics, probe_families
from exporter.metrics.exposition import join
from tests.clock import now, virtual_time
from tests.scripted import Script, failing


def test_every_kind_is_enabled_or_not() -> None:
    """A kind that is off has 0, so that "not here" and "broken" differ."""
    own = SelfMetrics(["gpu", "host"], {"host"}, Reload(successful=True, time=time.time()))
    body = join([own.render([])]).decode()
    assert 'grid_probe_enabled{probe="gpu"} 0.0' in body
    assert 'grid_probe_enabled{probe="host"} 1.0' in body


def test_version_and_configuration_are_exported() -> None:
    """Its version, and when the active configuration was read, whatever happened to reloads since."""
    own = SelfMetrics([], [], Reload(successful=False, time=1_700_000_000.0))
    body = join([own.render([])]).decode()
    assert f'grid_exporter_build_info{{version="{__version__}"}} 1.0' in body
    assert "grid_exporter_config_last_reload_successful 0.0" in body
    assert "grid_exporter_config_last_reload_success_timestamp_seconds 1.7e+09" in body


@virtual_time
async def test_a_failing_probe_shows_at_once_with_all_its_counters() -> None:
    """Success is 0, every outcome counts from 0, the last success is absent until there was one."""
    runner = Runner(Script("p", error=failing()).probe(), lambda: None, now)
    runner.start_if_due(now())
    await runner.finished()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in probe_families([runner])
        for sample in family.samples
    }
    assert samples["grid_probe_success", "p"] == 0
    assert samples["grid_probe_runs_total", "p", "failure"] == 1
    assert samples["grid_probe_runs_total", "p", "success"] == 0
    assert samples["grid_probe_runs_total", "p", "timeout"] == 0
    assert samples["grid_probe_stuck", "p"] == 0
    assert ("grid_probe_last_success_timestamp_seconds", "p") not in samples


@virtual_time
async def test_times_are_those_of_the_runs_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last run and the last good one, in Unix time, and how long the last one took."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0 + now())
    script = Script("p", seconds=3)
    runner = Runner(script.probe(), lambda: None, now)
    starts = []
    for script.error in (None, failing()):
        starts.append(time.time())
        runner.start_if_due(now())
        await runner.finished()
        await asyncio.sleep(30)
    values = {family.name: family.samples[0].value for family in probe_families([runner])}
    assert values["grid_probe_last_success_timestamp_seconds"] == starts[0]
    assert values["grid_probe_last_run_timestamp_seconds"] == starts[1]
    assert values["grid_probe_duration_seconds"] == 3


@virtual_time
async def test_a_first_run_has_neither_success_nor_duration() -> None:
    """Before the first run's end there is neither success nor duration."""
    runner = Runner(Script("p").probe(), lambda: None, now)
    names = {family.name for family in probe_families([runner])}
    assert names == {"grid_probe_ttl_seconds", "grid_probe_stuck", "grid_probe_runs"}
