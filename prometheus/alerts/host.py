"""Alerts about the box's memory and swap, and about reboots."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import amount, latest, over

EXPORTER = 'command=""'  # not a process that a command reports on
AVAILABLE = f"{latest('grid_memory_available_bytes')}\n/ {latest('grid_memory_total_bytes')}"
MEMORY = f"{amount('grid_memory_available_bytes')} of {amount('grid_memory_total_bytes')}"
SWAP_USED = f"1 - {latest('grid_swap_free_bytes')}\n/ ({latest('grid_swap_total_bytes')} > 0)"
STALLED = over(900, "grid_pressure_stalled_seconds_total", 'resource="memory"')
STARTED = f"changes({over(3600, 'process_start_time_seconds', EXPORTER)})"
BOOTED = latest("grid_boot_timestamp_seconds")
BOOTED_BEFORE = f"min_over_time({over(3600, 'grid_boot_timestamp_seconds')})"


def alerts() -> list[Alert]:
    """Memory that runs out, what that does to the box, and reboots."""
    return [*_memory(), *_consequences(), _reboot()]


def _memory() -> list[Alert]:
    return [
        Alert(
            name="GridMemoryNearlyOut",
            severity="critical",
            expr=_less_than(t.MEMORY_NEARLY_OUT_RATIO, t.MEMORY_NEARLY_OUT_BYTES),
            wait=300,
            keep=1800,  # as those that it inhibits: they would be sent as it ends
            value=AVAILABLE,
            summary="{{ $labels.instance }} is nearly out of memory",
            description=f"Only {MEMORY} "
            "({{ $value | humanizePercentage }}) of the memory of {{ $labels.instance }} is available. The "
            "kernel is about to kill something.",
        ),
        Alert(
            name="GridMemoryLow",
            severity="warning",
            expr=_less_than(t.MEMORY_LOW_RATIO, t.MEMORY_LOW_BYTES),
            wait=900,
            keep=1800,
            value=AVAILABLE,
            summary="{{ $labels.instance }} is low on memory",
            description=f"Only {MEMORY} "
            "({{ $value | humanizePercentage }}) of the memory of {{ $labels.instance }} is available.",
        ),
    ]


def _less_than(ratio: float, floor: float) -> str:
    """Where less is available than this share of the total, and than so many bytes."""
    return f"{AVAILABLE} < {ratio}\nand {latest('grid_memory_available_bytes')} < {floor:.0f}"


def _consequences() -> list[Alert]:
    return [
        Alert(
            name="GridMemoryPressure",
            severity="warning",
            expr=f"rate({STALLED}) > {t.MEMORY_STALLED_RATIO}",
            wait=300,
            keep=900,
            value=f"rate({STALLED})",
            summary="{{ $labels.instance }} stalls, it is out of memory",
            description="Everything on {{ $labels.instance }} waits for memory "
            "{{ $value | humanizePercentage }} of the time: it swaps, or reads its programs from disk again "
            "and again.",
        ),
        Alert(
            name="GridSwapFull",
            severity="warning",
            # A full swap alone is harmless: it may hold what nobody has asked for since boot.
            expr=f"{SWAP_USED} > {t.SWAP_FULL_RATIO}\nand\n{AVAILABLE} < {t.MEMORY_TIGHT_RATIO}\n"
            f"and on (job, instance) rate({STALLED}) > {t.SWAP_STALLED_RATIO}",
            wait=900,
            keep=1800,
            value=SWAP_USED,
            summary="{{ $labels.instance }}: swap is full and memory is tight",
            description="{{ $value | humanizePercentage }} of the swap of {{ $labels.instance }} is in use, "
            f"and only {MEMORY} of its memory is available: nothing is left to give way.",
        ),
    ]


def _reboot() -> Alert:
    return Alert(
        name="GridHostRebooted",
        severity="info",
        # A clock that is set moves the boot time, too, but the exporter runs on.
        expr=f"{BOOTED}\n- {BOOTED_BEFORE}\n> {t.BOOT_MOVED_SECONDS}\nand on (job, instance) {STARTED} > 0",
        summary="{{ $labels.instance }} has rebooted",
        description="{{ $labels.instance }} has rebooted within the last hour. If nobody asked for it, "
        "find out why.",
    )
