"""Answers scrapes: from what is asked for to the bytes that go out, kept until something changes."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from exporter.engine.cache import Cache
from exporter.engine.runner import Runner
from exporter.engine.self_metrics import SelfMetrics
from exporter.metrics.exposition import join

RENEWED_EVERY = 1.0  # seconds for which the exporter's own metrics may be shown again
KEPT = 16  # bodies; endless different questions must not fill the memory


@dataclass(slots=True)
class Body:
    """A body as it goes out.

    expires_at: what it shows stands until then, while the cache's generation is this one (boot clock).
    next_due_at: before then nothing is due either, so that it may go out without a check of the probes.
    """

    data: bytes
    generation: int
    expires_at: float
    next_due_at: float = 0.0


class Scraper:
    """Makes the bodies of /metrics and keeps the newest few.

    A scrape that starts no run costs a look-up, so that a storm of them costs little more than its bytes.
    """

    def __init__(self, cache: Cache, own: SelfMetrics) -> None:
        self.cache = cache
        self.own = own
        self._kept: OrderedDict[Hashable, Body] = OrderedDict()

    def kept(self, key: Hashable) -> bytes | None:
        """The body last made for this key, where nothing has changed since and nothing is due."""
        body = self._kept.get(key)
        if body and body.generation == self.cache.generation and self.cache.clock() < body.next_due_at:
            return body.data
        return None

    async def scrape(self, key: Hashable, names: list[str], max_wait: float, *, compress: bool) -> bytes:
        """A body with the metrics of the named probes or kinds (all for none), kept under ``key``.

        Args:
            key: what the answer depends on: the question and its encoding.
            names: probes or kinds of probes.
            max_wait: seconds that the client can still wait.
            compress: whether to give it gzipped.

        Raises:
            KeyError: with a name that is no probe's.
        """
        runners = self.cache.select(names)
        await self.cache.refresh(runners, max_wait)
        # Another that waited for the same run may have made the body by now, or the run only just begun.
        now, body = self.cache.clock(), self._kept.get(key)
        if body is None or body.generation != self.cache.generation or now >= body.expires_at:
            body = self._make(runners, now, compress=compress)
            self._keep(key, body)
        body.next_due_at = min(body.expires_at, self.cache.next_due_at(runners, now))
        return body.data

    def _make(self, runners: list[Runner], now: float, *, compress: bool) -> Body:
        data = join([self.own.render(runners), *(runner.families(now) for runner in runners)])
        if compress:
            # Level 1: a higher one costs more time than the bytes it saves are worth beside a scrape.
            data = gzip.compress(data, compresslevel=1, mtime=0)
        expires_at = min(now + RENEWED_EVERY, self.cache.expires_at(runners, now))
        return Body(data, self.cache.generation, expires_at)

    def _keep(self, key: Hashable, body: Body) -> None:
        self._kept[key] = body
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
