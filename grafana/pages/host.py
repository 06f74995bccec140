"""Host: its processors and memory."""

from __future__ import annotations

from grafana import sdk
from grafana.annotations import alerts, reboots
from grafana.charts import lines, stack
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, state_stat, values_stat
from prometheus.expressions import MEMORY_USED, SWAP_USED
from prometheus.health import HOST

PAGE = "What the processors and the memory are used for, and what waits for them."
NO_HOST = "No host metrics in this range"


def page() -> Page:
    """The page."""
    host = Page("grid-host", PAGE, since="24h", refresh="30s")
    host.band(4, state_stat(HOST), stats(), widths=(6, 18))
    host.band(8, processors(), memory())
    host.band(8, load(), pressure())
    host.annotate(reboots(), alerts("host"))
    return host


def stats() -> Panel:
    """The host in six values."""
    idle = 'rate(grid_cpu_seconds_total{BOX, mode=~"idle|iowait"}[$__rate_interval])'
    since_boot = "clamp_min(time() - max(grid_boot_timestamp_seconds{BOX}), 0)"
    return values_stat(
        "Host",
        "Of several boxes the worst. Load is tasks that run or wait, per processor: above 1 some wait.",
        (
            Value("Memory", f"max({MEMORY_USED})", "percentunit", decimals=0),
            Value("Swap", f"max({SWAP_USED})", "percentunit", decimals=0),
            Value("Processors", f"1 - sum({idle}) / sum(grid_cpus{{BOX}})", "percentunit", decimals=0),
            Value("Load/CPU", "max(grid_load5{BOX} / grid_cpus{BOX})", "none", decimals=2),
            Value("Disk wait", waiting_for("io"), "percentunit", decimals=0),
            Value("Up for", since_boot, "s", decimals=1),
            absent(HOST),
        ),
    )


def waiting_for(resource: str) -> str:
    """The share of time in which some task waited; of the box that waits most."""
    waited = f'grid_pressure_waiting_seconds_total{{BOX, resource="{resource}"}}'
    return f"max(rate({waited}[$__rate_interval]))"


def processors() -> Panel:
    """What the processors do."""
    busy = 'sum by (instance, mode) (rate(grid_cpu_seconds_total{BOX, mode!="idle"}[$__rate_interval]))'
    return stack(
        "Processors",
        "What the processors spend their time on, in processors; idle time is left out.",
        "none",
        over_time(busy, "${who}{{mode}}"),
        decimals=1,
        names=("user", "system", "iowait", "nice", "irq", "softirq", "steal", "guest"),
        empty=NO_HOST,
    )


def memory() -> Panel:
    """What the memory is used for, and swap."""
    total = "grid_memory_total_bytes{BOX}"
    cache = "(grid_memory_buffers_bytes{BOX} + grid_memory_cached_bytes{BOX})"
    return lines(
        "Memory",
        "Memory that is not available to programs, the file cache, what is free, and swap in use.",
        "bytes",
        over_time(f"{total} - grid_memory_available_bytes{{BOX}}", "${who}used"),
        over_time(cache, "${who}cache"),
        over_time("grid_memory_free_bytes{BOX}", "${who}free"),
        over_time("grid_swap_total_bytes{BOX} - grid_swap_free_bytes{BOX}", "${who}swap"),
        over_time(total, "${who}total"),
        names=("used", "cache", "free", "swap", "total"),
        empty=NO_HOST,
    )


def load() -> Panel:
    """How many tasks want a processor."""
    return lines(
        "Load per processor",
        "Tasks that run or wait, per processor, over 1, 5 and 15 minutes; above 1 some wait.",
        "none",
        over_time("grid_load1{BOX} / grid_cpus{BOX}", "${who}1 min"),
        over_time("grid_load5{BOX} / grid_cpus{BOX}", "${who}5 min"),
        over_time("grid_load15{BOX} / grid_cpus{BOX}", "${who}15 min"),
        names=("1 min", "5 min", "15 min"),
        empty=NO_HOST,
    )


def pressure() -> Panel:
    """What slows the box down."""
    rate = "max by (instance, resource) (rate(grid_pressure_{}_seconds_total{{BOX}}[$__rate_interval]))"
    panel = lines(
        "Waiting for",
        "The share of time in which some task waited for a resource; dashed, in which all waited.",
        "percentunit",
        over_time(rate.format("waiting"), "${who}{{resource}}"),
        over_time(rate.format("stalled"), "${who}{{resource}}, all"),
        names=("cpu", "io", "memory"),
        high=1,
        empty="No pressure metrics in this range",
    )
    sdk.override(panel, "byRegexp", "/, all$/", {"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}})
    return panel
