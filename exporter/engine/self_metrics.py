"""The exporter's own metrics: each probe's health, the active configuration, the process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field
from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector

from exporter import __version__
from exporter.engine.runner import Runner
from exporter.metrics.exposition import Rendered, render
from exporter.metrics.families import Samples, counter, gauge
from exporter.system import orphans

ENABLED = gauge("grid_probe_enabled", "Whether probes of this kind are configured (0 or 1).", "probe")
SUCCESS = gauge("grid_probe_success", "Whether the probe's last run succeeded (0 or 1).", "probe")
DURATION = gauge("grid_probe_duration_seconds", "How long the probe's last run took, seconds.", "probe")
LAST_RUN = gauge(
    "grid_probe_last_run_timestamp_seconds", "When the probe's last run started, Unix time.", "probe"
)
LAST_SUCCESS = gauge(
    "grid_probe_last_success_timestamp_seconds",
    "When the probe's last successful run started, Unix time.",
    "probe",
)
TTL = gauge("grid_probe_ttl_seconds", "For how long a run's values count as fresh (configuration).", "probe")
STUCK = gauge(
    "grid_probe_stuck",
    "Whether a run of the probe can't be ended, which keeps the next one away (0 or 1).",
    "probe",
)
RUNS = counter(
    "grid_probe_runs_total", "Runs of the probe by outcome, since the exporter started.", "probe", "outcome"
)

BUILD = gauge("grid_exporter_build_info", "Always 1; the exporter's version.", "version")
RELOADED = gauge(
    "grid_exporter_config_last_reload_successful",
    "Whether the configuration was accepted when it was last read (0 or 1).",
)
RELOAD_TIME = gauge(
    "grid_exporter_config_last_reload_success_timestamp_seconds",
    "When the active configuration was read, Unix time.",
)
WEB_RELOADED = gauge(
    "grid_exporter_web_config_last_reload_successful",
    "Whether the web configuration was accepted when it was last read (0 or 1).",
)
WEB_RELOAD_TIME = gauge(
    "grid_exporter_web_config_last_reload_success_timestamp_seconds",
    "When the active web configuration was read, Unix time.",
)
ORPHANED = gauge(
    "grid_exporter_orphaned_processes",
    "Processes that tools left behind and that the exporter may not end, being another user's.",
)


class Reload(Struct):
    """How the last reading of the configuration went. time: Unix time of the last good one."""

    successful: bool
    time: float


class SelfMetrics(Struct):
    """Renders the exporter's own metrics.

    kinds: every kind of probe there is; enabled: those that are configured. web_reload: of the web
    configuration, where there is one.
    """

    kinds: Collection[str]
    enabled: Collection[str]
    reload: Reload
    web_reload: Reload | None = None
    _process: ProcessCollector = field(default_factory=lambda: ProcessCollector(registry=None))

    def render(self, runners: Iterable[Runner]) -> Mapping[str, Rendered]:
        """The health of these probes, and the metrics of the exporter itself."""
        return render([*self._exporter(), *probe_families(runners), *self._process.collect()])

    def _exporter(self) -> list[Metric]:
        samples = Samples()
        samples.add(BUILD, 1, __version__)
        samples.add(RELOADED, float(self.reload.successful))
        samples.add(RELOAD_TIME, self.reload.time)
        if self.web_reload:
            samples.add(WEB_RELOADED, float(self.web_reload.successful))
            samples.add(WEB_RELOAD_TIME, self.web_reload.time)
        samples.add(ORPHANED, orphans.unkillable())
        for kind in self.kinds:
            samples.add(ENABLED, float(kind in self.enabled), kind)
        return samples.families()


def probe_families(runners: Iterable[Runner]) -> list[Metric]:
    """Each probe's health. One that has not finished a run yet has no success, duration or times."""
    samples = Samples()
    for runner in runners:
        name, last = runner.probe.name, runner.snapshot
        if last is not None:
            samples.add(SUCCESS, float(last.success), name)
            samples.add(DURATION, last.duration, name)
            samples.add(LAST_RUN, last.started, name)
            samples.add(LAST_SUCCESS, last.last_success, name)
        samples.add(TTL, runner.probe.schedule.ttl, name)
        samples.add(STUCK, float(runner.stuck), name)
        for outcome, count in runner.runs.items():
            samples.add(RUNS, count, name, outcome)
    return samples.families()
