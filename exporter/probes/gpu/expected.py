"""How many cards the owner says that the box has, held against those that answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from msgspec import Struct, field
from prometheus_client.core import Metric

from exporter.humanize import pluralize
from exporter.metrics.families import Samples
from exporter.probe import Note, Result
from exporter.probes.gpu import families as f


class Expected(Struct):
    """The number of cards expected, of all vendors together, and how many of each vendor were found.

    vendors: those that have a probe.
    """

    cards: int
    vendors: Collection[str]
    found: dict[str, int] = field(default_factory=dict)

    def families(self) -> Sequence[Metric]:
        """The number as a metric, which is known even where no run succeeds."""
        samples = Samples()
        samples.add(f.EXPECTED, self.cards)
        return samples.families()

    async def run(self, vendor: str, run: Callable[[], Awaitable[Result]]) -> Result:
        """A run of a vendor's probe, with a note where there are fewer cards than expected, or more.

        Raises:
            ProbeError: as ``run``.
        """
        self.found.pop(vendor, None)
        result = await run()
        self.found[vendor] = _cards(result.families)
        found = sum(self.found.values())
        if len(self.found) < len(self.vendors) or found == self.cards:
            return result
        text = f"{pluralize(found, 'card')}, and probes.gpu.expect says {self.cards}"
        return Result(result.families, (*result.notes, Note(text, "find the card, or correct the number")))


def _cards(families: Sequence[Metric]) -> int:
    return sum(
        int(sample.value) for family in families for sample in family.samples if sample.name == f.GPUS.name
    )
