"""How often one address may try: a token bucket for each, in bounded memory."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_KNOWN = 1024


class Limiter:
    """Lets each key try ``burst`` times at once, and once in ``seconds`` from then on.

    Beyond 1024 keys those that were quiet the longest are forgotten: their buckets have had time to fill.
    """

    def __init__(self, burst: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._seconds, self._clock = burst, seconds, clock
        self._buckets: OrderedDict[Hashable, tuple[float, float, bool]] = OrderedDict()

    def refuses(self, key: Hashable) -> bool:
        """Whether the key's last try was one too many, so that the next such one is no news."""
        return not self._buckets.get(key, (0, 0, True))[2]

    def wait(self, key: Hashable) -> int:
        """Counts a try: 0 where it is let through, otherwise the whole seconds until the next one will be."""
        now = self._clock()
        left, since, _ = self._buckets.pop(key, (float(self._burst), now, True))
        left = min(float(self._burst), left + (now - since) / self._seconds)
        through = left >= 1
        self._buckets[key] = (left - through, now, through)
        if len(self._buckets) > _KNOWN:
            self._buckets.popitem(last=False)
        return 0 if through else math.ceil((1 - left) * self._seconds)


def client_key(address: str | None) -> str:
    """What counts as one client: an IPv4 address, or the /64 in which an IPv6 client chooses its own."""
    try:
        known = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if known.version == 4:  # noqa: PLR2004 - that is its name
        return str(known)
    mapped = known.ipv4_mapped
    return str(mapped or ipaddress.ip_network((known, 64), strict=False))
