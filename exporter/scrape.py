"""Answers scrapes: from what is asked for to the bytes that go out, kept until something changes."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from exporter.cache import Cache
from exporter.exposition import join
from exporter.figures import OwnFigures
from exporter.runner import Runner

RENEWED_EVERY = 1.0  # seconds for which the exporter's own figures may be shown again
KEPT = 16  # bodies; endless different questions must not fill the memory


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it goes out; good while the cache's generation is this one, until ``until`` (boot clock)."""

    data: bytes
    generation: int
    until: float


class Scraper:
    """Makes the bodies of /metrics and keeps the newest few.

    A scrape that starts no run costs a look-up, so that a storm of them costs little more than its bytes.
    """

    def __init__(self, cache: Cache, own: OwnFigures) -> None:
        self.cache = cache
        self.own = own
        self._kept: OrderedDict[Hashable, Body] = OrderedDict()

    def kept(self, key: Hashable) -> bytes | None:
        """The body last made for this key, where nothing has changed since and nothing is due."""
        body = self._kept.get(key)
        if body and body.generation == self.cache.generation and self.cache.clock() < body.until:
            return body.data
        return None

    async def scrape(self, key: Hashable, names: list[str], patience: float, *, compress: bool) -> bytes:
        """A fresh body with the figures of the named probes or kinds (all for none), kept under ``key``.

        Args:
            key: what the answer depends on: the question and its encoding.
            names: probes or kinds of probes.
            patience: seconds that the client can still wait.
            compress: whether to give it gzipped.

        Raises:
            KeyError: with a name that is no probe's.
        """
        runners = self.cache.select(names)
        await self.cache.refresh(runners, patience)
        # Many may have waited for the same run: the first to get here made the body for all of them.
        return self.kept(key) or self._make(key, runners, compress=compress)

    def _make(self, key: Hashable, runners: list[Runner], *, compress: bool) -> bytes:
        now = self.cache.clock()
        data = join([self.own.render(runners), *(runner.families(now) for runner in runners)])
        if compress:
            # Level 1: a higher one costs more time than the bytes it saves are worth beside a scrape.
            data = gzip.compress(data, compresslevel=1, mtime=0)
        until = min(now + RENEWED_EVERY, self.cache.quiet_until(runners, now))
        self._kept[key] = Body(data, self.cache.generation, until)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return data
