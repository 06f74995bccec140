"""Answers scrapes: from what is asked for to the bytes that go out, kept until something changes."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Hashable, Iterable

from msgspec import Struct

from exporter.engine.cache import Cache
from exporter.engine.runner import Runner
from exporter.engine.self_metrics import SelfMetrics
from exporter.metrics.exposition import join

RENEWED_EVERY = 1.0  # seconds for which the exporter's own metrics may be shown again
KEPT = 16  # bodies: endless different sets of probes must not fill the memory
KEPT_BYTES = 32 * 1024 * 1024


class Body(Struct):
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
        self._kept: dict[Hashable, Body] = {}  # the oldest first
        self._asked: dict[Hashable, Body] = {}  # those of them that were asked for since, by how

    def kept(self, names: Collection[str], *, compress: bool) -> bytes | None:
        """The body that such a scrape got last, where nothing has changed since and nothing is due."""
        body = self._asked.get((compress, *names))
        if body and body.generation == self.cache.generation and self.cache.clock() < body.next_due_at:
            return body.data
        return None

    async def scrape(self, names: Collection[str], max_wait: float, *, compress: bool) -> bytes:
        """A body with the metrics of the named probes or kinds (all for none).

        It is kept under the probes that are in it and its encoding, in whatever words it was asked for.

        Args:
            names: probes or kinds of probes.
            max_wait: seconds that the client can still wait.
            compress: whether to give it gzipped.

        Raises:
            KeyError: with a name that is no probe's.
        """
        runners = self.cache.select(names)
        key = _key(runners, compress=compress)
        await self.cache.refresh(runners, max_wait)
        # Another that waited for the same run may have made the body by now, or the run only just begun.
        now, body = self.cache.clock(), self._kept.get(key)
        if body is None or body.generation != self.cache.generation or now >= body.expires_at:
            body = self._make(runners, now, compress=compress)
            self._keep(key, body, now)
        body.next_due_at = min(body.expires_at, self.cache.next_due_at(runners, now))
        if len(self._asked) >= KEPT:
            self._asked.clear()
        self._asked[compress, *names] = body
        return body.data

    def _make(self, runners: list[Runner], now: float, *, compress: bool) -> Body:
        data = join([self.own.render(runners), *(runner.families(now) for runner in runners)])
        if compress:
            # Level 1: a higher one costs more time than the bytes it saves are worth beside a scrape.
            data = gzip.compress(data, compresslevel=1, mtime=0)
        expires_at = min(now + RENEWED_EVERY, self.cache.expires_at(runners, now))
        return Body(data, self.cache.generation, expires_at)

    def _keep(self, key: Hashable, new: Body, now: float) -> None:
        """Keeps a body, and drops those that are of no use any more or too many."""
        self._asked.clear()
        generation = self.cache.generation
        for other, body in list(self._kept.items()):
            if body.generation != generation or now >= body.expires_at:
                del self._kept[other]
        self._kept[key] = new
        while len(self._kept) > KEPT or (
            len(self._kept) > 1 and sum(len(body.data) for body in self._kept.values()) > KEPT_BYTES
        ):
            del self._kept[next(iter(self._kept))]


def _key(runners: Iterable[Runner], *, compress: bool) -> Hashable:
    """What a body depends on. Runners are always in the order of the configuration."""
    return compress, *(runner.probe.name for runner in runners)
