"""The exporter itself: a plan of probes, the cache that runs them, and what answers scrapes."""

from __future__ import annotations

import logging
import time

from exporter.config.load import Plan
from exporter.config.strict_yaml import ConfigError
from exporter.engine.cache import Cache
from exporter.engine.scrape import Scraper
from exporter.engine.self_metrics import Reload, SelfMetrics
from exporter.probes import KINDS

log = logging.getLogger(__name__)


class Exporter:
    """Everything that is served, in one place for the web side."""

    def __init__(self, plan: Plan, cache: Cache | None = None) -> None:
        self.cache = cache or Cache()
        self.own = SelfMetrics(
            [kind.name for kind in KINDS], plan.settings, Reload(successful=True, time=time.time())
        )
        self.scraper = Scraper(self.cache, self.own)
        self.apply(plan)

    def apply(self, plan: Plan) -> None:
        """Activates a plan: what it leaves unchanged keeps its metrics and its run in flight."""
        self.plan = plan
        self.own.enabled = plan.settings
        self.own.reload = Reload(successful=True, time=time.time())
        self.cache.configure(plan.probes)

    def refuse(self, error: ConfigError) -> None:
        """Records that a new configuration was refused; the active one stays."""
        log.error("the new configuration was refused, the one before stays active: %s", error)
        self.own.reload.successful = False

    def start_runs(self, *, awaited: bool = False) -> None:
        """Starts every probe that is due, or of those only the ones that scrapes wait for; waits for none."""
        now = self.cache.clock()
        for runner in self.cache.runners.values():
            if runner.probe.schedule.wait or not awaited:
                runner.start_if_due(now)

    def ready(self) -> bool:
        """Whether every quick probe's first run has ended, or has outlived what a scrape waits for it."""
        now = self.cache.clock()
        return all(r.snapshot is not None or now >= r.wait_deadline > 0 for r in self.cache.runners.values())
