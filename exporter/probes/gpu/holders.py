"""Who holds the memory of AMD's and Intel's cards, put together from KFD, fdinfo and cgroups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probe import Host
from exporter.probes.gpu import clients, dmem, fdinfo, kfd
from exporter.probes.gpu import families as f
from exporter.probes.gpu.programs import in_own_pid_namespace, program_of
from exporter.probes.gpu.served_model import model_of
from exporter.probes.gpu.sysfs import Card, nodes
from exporter.system.cgroup import container_name, container_of

EVERY = 15.0  # seconds


class Use(Struct, frozen=True):
    """What is held of one card: bytes by process, and by a container's full id. own: the sum of fdinfo.

    pids: the processes that have the card open. complete: whether all processes were read.
    """

    by_pid: Mapping[int, int] = field(default_factory=dict)
    by_container: Mapping[str, int] = field(default_factory=dict)
    pids: frozenset[int] = frozenset()
    own: int = 0
    complete: bool = False


class Holders(Struct):
    """Remembers who holds what for some seconds.

    by_slot: of every card that was awake then. labels: the program, container and model of each process.
    search: by fdinfo, None before the first.
    """

    by_slot: dict[str, Use] = field(default_factory=dict)
    labels: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    read_at: float = -EVERY
    search: clients.Search | None = None

    def current(self, cards: Iterable[Card], now: float) -> bool:
        """Whether what is known of these cards is recent."""
        return now - self.read_at < EVERY and all(card.slot in self.by_slot for card in cards)

    def refresh(
        self, host: Host, cards: Iterable[Card], shared: Collection[str], now: float, *, all_awake: bool
    ) -> None:
        """Reads them again. cards: those awake. shared: the slots of those that use the host's memory.

        all_awake: whether no card of the host sleeps.
        """
        self.read_at = now
        slots = {card.slot for card in cards}
        self.search = self.search or clients.Search(str(host.proc))
        seen = self.search.scan(nodes(host.sys, slots), now, all_awake=all_awake)
        if in_own_pid_namespace(host.proc):
            seen.complete = False
        rocm = kfd.memory(host.sys)
        grouped = dmem.by_container(host.cgroup)
        self.by_slot = {slot: _use(slot, seen, rocm, grouped, shares=slot in shared) for slot in slots}
        pids = {pid for use in self.by_slot.values() for pid in use.by_pid}
        self.labels = {
            pid: (program_of(host.proc, pid), container_of(pid, host), model_of(pid, host)) for pid in pids
        }

    def add(self, samples: Samples, labels: Sequence[str], card: Card, host: Host) -> Use:
        """Adds a card's processes and their memory; returns what is known of it."""
        use = self.by_slot.get(card.slot, Use())
        sums: dict[tuple[str, str, str], int] = {}
        for pid, used in use.by_pid.items():
            key = self.labels.get(pid, ("", "", ""))
            sums[key] = sums.get(key, 0) + used
        known = {container for _, container, _ in sums}
        for identity, used in use.by_container.items():
            container = container_name([identity], host)
            if used and container not in known:
                sums["", container, ""] = sums.get(("", container, ""), 0) + used
        for key, used in sums.items():
            f.add_process_memory(samples, labels, used, key)
        samples.add(f.PROCESSES, len(use.pids) if use.complete else None, *labels)
        return use


def _use(
    slot: str, seen: clients.Scan, rocm: Mapping[str, Mapping[int, int]],
    grouped: Mapping[str, Mapping[str, int]], *, shares: bool,
) -> Use:  # fmt: skip
    """Puts a card's sources together: ROCm's memory is fdinfo's, too, so of both the larger counts."""
    opened = fdinfo.memory(seen.clients, slot, shares=shares)
    by_pid = {pid: max(opened.get(pid, 0), used) for pid, used in (opened | dict(rocm.get(slot, {}))).items()}
    return Use(
        {pid: used for pid, used in by_pid.items() if used},
        {identity: held[slot] for identity, held in grouped.items() if slot in held},
        frozenset(by_pid),
        sum(opened.values()),
        seen.complete,
    )
