"""AMD's and Intel's cards, from the kernel's files: no tool, no privilege, and no sleeping card is woken."""

from __future__ import annotations

import os
import time

from msgspec import Struct, field

from exporter.humanize import size
from exporter.metrics.families import Samples
from exporter.probe import Host, Note, ProbeError, Result
from exporter.probes.gpu import amd, dmem, intel
from exporter.probes.gpu import families as f
from exporter.probes.gpu.holders import Holders, Use
from exporter.probes.gpu.names import amdgpu_name, pci_name
from exporter.probes.gpu.sysfs import DRIVERS, Card, Sensors, cards, read
from exporter.system.threads import run_in_thread

UNEXPLAINED = 1024**3  # bytes of a card that nobody seems to hold, of which a person should know
SELDOM = 300.0  # seconds, for what changes only with a driver that is loaded anew
DROP_IN = "let it read other users' processes, at a price: docs/gpu.md, Memory by process"


class State(Struct):
    """What is kept from run to run.

    names: what each card is called, by its PCI ids and revision.
    sensors: where they lie. shared: the slots of cards that use the host's memory. known_at: when both were
    found out.
    """

    holders: Holders = field(default_factory=Holders)
    rates: intel.Rates = field(default_factory=intel.Rates)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    sensors: Sensors = field(default_factory=Sensors)
    shared: set[str] = field(default_factory=set)
    known_at: float = 0.0


async def run(host: Host, vendor: str, state: State) -> Result:
    """One run: the cards of a vendor. In a thread, since a driver that hangs would hang whoever reads of it.

    Raises:
        ProbeError: sysfs is not there.
    """
    return await run_in_thread(collect, host, vendor, state, time.monotonic())


def collect(host: Host, vendor: str, state: State, now: float) -> Result:
    """Reads all files and fills the families. now: of a clock that doesn't step, and stands while suspended.

    Raises:
        ProbeError: sysfs is not there.
    """
    if not os.path.isdir(host.sys / "class/drm"):  # noqa: PTH112 - raises where a folder above is closed
        raise ProbeError(f"{host.sys}/class/drm is not there", "see that /sys is mounted, and --path.sysfs")
    samples, notes = Samples(), list[Note]()
    state.rates.now = now
    shown = cards(host.sys)
    there = [card for card in shown if card.vendor == vendor]
    samples.add(f.GPUS, len(there), vendor)
    awake: dict[tuple[str, str], Card] = {}
    for index, card in enumerate(there):
        asleep = card.asleep()
        labels = (f"{vendor}{index}", (amd.uuid(card) if vendor == "amd" else "") or card.slot)
        _add_info(samples, labels, card, host, state)
        samples.add(f.ASLEEP, asleep, *labels)
        if asleep:
            state.rates.forget(card.path)
        else:
            awake[labels] = card
    _refresh(host, state, shown, list(awake.values()), now)
    capacity = dmem.capacity(host.cgroup) if vendor == "intel" and awake else {}
    for labels, card in awake.items():
        use = state.holders.add(samples, labels, card, host)
        if vendor == "amd":
            used = amd.add_card(samples, labels, card, state.sensors, shares=card.slot in state.shared)
            notes += _unexplained(labels[0], used, use)
        else:
            intel.add_card(samples, labels, card, state.sensors, state.rates)
            intel.add_memory(samples, labels, capacity.get(card.slot), use.own if use.complete else None)
    return Result(samples.families(), tuple(notes))


def _refresh(host: Host, state: State, shown: list[Card], awake: list[Card], now: float) -> None:
    """Renews, every few seconds and for a card that woke, who holds the memory; other things more seldom."""
    if state.holders.current(awake, now):
        return
    if now - state.known_at >= SELDOM or any(card.slot not in state.holders.by_slot for card in awake):
        state.known_at, state.sensors = now, Sensors()
        state.shared = {card.slot for card in awake if _uses_host_memory(card, state.sensors)}
    all_awake = not any(card.asleep() for card in shown if card not in awake)
    state.holders.refresh(host, awake, state.shared, now, all_awake=all_awake)


def _uses_host_memory(card: Card, sensors: Sensors) -> bool:
    return amd.is_apu(card, sensors) if card.vendor == "amd" else intel.is_integrated(card)


def _add_info(samples: Samples, labels: tuple[str, str], card: Card, host: Host, state: State) -> None:
    key = (card.pci_id, read(f"{card.device}/revision"))
    if key not in state.names:
        state.names[key] = _name(card, key[1], host)
    version = read(host.sys / f"module/{card.driver}/version") if card.driver in DRIVERS else ""
    f.add_info(
        samples, labels, vendor=card.vendor, driver=card.driver, driver_version=version[:100],
        name=read(f"{card.device}/product_name")[:100] or state.names[key],
        vbios_version=read(f"{card.device}/vbios_version")[:100], pci_bus_id=card.slot,
    )  # fmt: skip


def _name(card: Card, revision: str, host: Host) -> str:
    """Its name in the lists of devices, else its ids."""
    vendor, _, device = card.pci_id.upper().partition(":")
    listed = (
        amdgpu_name(host.root, device, revision.removeprefix("0x").upper()) if card.vendor == "amd" else ""
    )
    maker = {"amd": "AMD", "intel": "Intel"}[card.vendor]
    return listed or pci_name(host.root, vendor, device) or f"{maker} {card.pci_id or 'card'}"


def _unexplained(gpu: str, used: float | None, use: Use) -> list[Note]:
    """A note where much of the memory is held by processes that may not be read."""
    known = sum(use.by_pid.values()) + sum(use.by_container.values())
    if use.complete or used is None or used - known < UNEXPLAINED:
        return []
    return [
        Note(f"{size(used - known)} of {gpu}'s memory are held by processes that it may not read", DROP_IN)
    ]
