"""The pieces of PromQL that alerts, conditions and panels have in common."""

from __future__ import annotations

from prometheus import thresholds as t

JOB = 'job=~"grid.*"'
# A scrape that fails ends every series of the box at once. Looking back this far keeps what was seen, so that
# a restart or a lost scrape neither resolves an alert nor starts its wait anew. It is longer than
# GridExporterDown takes to fire: that one takes over before the box's other alerts end.
GAP_SECONDS = 10 * 60

# Shares of a whole. In each selector ``{BOX`` stands for the matchers that choose the boxes.
MEMORY_AVAILABLE = "grid_memory_available_bytes{BOX} / grid_memory_total_bytes{BOX}"
MEMORY_USED = f"1 - {MEMORY_AVAILABLE}"
SWAP_USED = (
    "1 - grid_swap_free_bytes{BOX} / (grid_swap_total_bytes{BOX} > 0)"  # nothing where there is no swap
)
DISK_AVAILABLE = "grid_filesystem_avail_bytes{BOX} / grid_filesystem_size_bytes{BOX}"
DISK_USED = f"1 - {DISK_AVAILABLE}"
# By the hardware, to save itself. A power limit, and the temperature at which the driver holds a card that is
# well at work (sw_thermal_slowdown), are as they should be.
THROTTLED_BY_HARDWARE = 'reason=~"hw_.+|prochot|thermal|vr_thermalert"'
GPU_MEMORY_USED_RATIO = "grid_gpu_memory_used_bytes{BOX} / grid_gpu_memory_total_bytes{BOX}"


def series(name: str, *matchers: str) -> str:
    """A selector of every watched box's series of this name."""
    return f"{name}{{{', '.join((JOB, *matchers))}}}"


def over(seconds: int, name: str, *matchers: str) -> str:
    """The same series' samples of the last so many seconds."""
    return f"{series(name, *matchers)}[{span(seconds)}]"


def count_over(seconds: int, counter: str) -> str:
    """By how much each of these counters rose within so many seconds, as a whole number.

    increase() extrapolates, and two restarts would read as 2.03.
    """
    return f"round(increase({over(seconds, counter)}))"


def loop(counter: str, quick: int, slow: int) -> str:
    """How often each rose within LOOP_SECONDS, where that was more than ``slow``, or ``quick`` in an hour."""
    long = count_over(t.LOOP_SECONDS, counter)
    return f"{long}\nand (\n  {count_over(3600, counter)} > {quick}\n  or {long} > {slow}\n)"


def latest(name: str, *matchers: str) -> str:
    """Each series' last value, across a gap in the scrapes."""
    return f"last_over_time({over(GAP_SECONDS, name, *matchers)})"


def clock() -> str:
    """Each box's own time, labels job and instance: when the last of its probes succeeded.

    Compared with the box's other times, it makes no difference whether its clock is right.
    """
    return f"max by (job, instance) ({latest('grid_probe_last_success_timestamp_seconds')})"


def amount(metric: str, *labels: str) -> str:
    """A template of an annotation: the bytes of the alert's own series of a metric, such as ``27.4GiB``.

    labels: those that name the series, besides job and instance.
    """
    return own_value(metric, *labels, shown="humanize1024 }}B")


def own_value(metric: str, *labels: str, shown: str = "humanize }}") -> str:
    """A template of an annotation: the value of the alert's own series of a metric, such as ``65.5k``.

    labels: those that name the series, besides job and instance. shown: the end of its template.
    """
    names = ("job", "instance", *labels)
    matchers, values = (
        ", ".join(f"{name}=%q" for name in names),
        " ".join(f"$labels.{name}" for name in names),
    )
    read = f"sum(last_over_time({metric}{{{matchers}}}[{span(GAP_SECONDS)}]))"
    return f"{{{{ with printf `{read}` {values} | query }}}}{{{{ . | first | value | {shown}{{{{ end }}}}"


def span(seconds: int) -> str:
    """A duration as Prometheus writes it, in the largest unit that holds it whole: 5400 is ``90m``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
