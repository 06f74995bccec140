"""Workloads, first part: what the host has left for them."""

from __future__ import annotations

from grafana import threshold_steps
from grafana.charts import lines, stack
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import state_stat, value_stat
from grafana.threshold_steps import steps
from grafana.value_mappings import NO_VALUE
from prometheus.expressions import MEMORY_USED, SWAP_USED
from prometheus.health import HOST

NO_HOST = "No host metrics seen in this range"


def host(page: Page) -> None:
    """The part under its heading."""
    page.heading("Host")
    page.band(3, state_stat(HOST), *stats())
    page.band(7, processors(), memory(), load())


def stats() -> list[Panel]:
    """The host in seven values."""
    idle = 'rate(grid_cpu_seconds_total{BOX, mode=~"idle|iowait"}[$__rate_interval])'
    busy = f"1 - sum({idle}) / sum(grid_cpus{{BOX}})"
    load_a_cpu = "max(grid_load5{BOX} / grid_cpus{BOX})"
    since_boot = "time() - max(grid_boot_timestamp_seconds{BOX})"
    return [
        value_stat(
            "Used",
            "Memory that is not available to programs; of the fullest box.",
            f"max({MEMORY_USED})",
            "percentunit",
            *steps(threshold_steps.MEMORY_USED),
            decimals=0,
        ),
        share("Swap", "Swap in use; of the fullest box.", f"max({SWAP_USED})", empty="no swap"),
        share("Processors", "How much of all processors' time they were busy.", busy),
        value_stat(
            "Load", "Tasks that run or wait, a processor; above 1 some wait.", load_a_cpu, "none", decimals=2
        ),
        share("Disk wait", "How much of the time some task waited for a disk.", waiting_for("io")),
        share("RAM wait", "How much of the time some task waited for memory.", waiting_for("memory")),
        value_stat(
            "Up for", "Since the last boot; of the box that booted last.", since_boot, "s", decimals=1
        ),
    ]


def share(title: str, description: str, promql: str, empty: str = NO_VALUE) -> Panel:
    """A share of a whole."""
    return value_stat(title, description, promql, "percentunit", decimals=0, empty=empty)


def waiting_for(resource: str) -> str:
    """The share of time in which some task waited; of the box that waits most."""
    waited = f'grid_pressure_waiting_seconds_total{{BOX, resource="{resource}"}}'
    return f"max(rate({waited}[$__rate_interval]))"


def processors() -> Panel:
    """What the processors do."""
    busy = 'sum by (mode) (rate(grid_cpu_seconds_total{BOX, mode!="idle"}[$__rate_interval]))'
    return stack(
        "Processors",
        "What the processors spend their time on, in processors; idle time is left out.",
        "none",
        over_time(busy, "{{mode}}"),
        decimals=1,
        empty=NO_HOST,
    )


def memory() -> Panel:
    """What programs hold, and what swap does."""
    return lines(
        "Memory held",
        "Memory that is not available to programs, and swap in use.",
        "bytes",
        over_time("grid_memory_total_bytes{BOX} - grid_memory_available_bytes{BOX}", "${who}memory"),
        over_time("grid_swap_total_bytes{BOX} - grid_swap_free_bytes{BOX}", "${who}swap"),
        names=("memory", "swap"),
        empty=NO_HOST,
    )


def load() -> Panel:
    """How many tasks want a processor."""
    return lines(
        "Load",
        "Tasks that run, wait to run or wait for a disk, over 1, 5 and 15 minutes.",
        "none",
        over_time("grid_load1{BOX}", "${who}1 min"),
        over_time("grid_load5{BOX}", "${who}5 min"),
        over_time("grid_load15{BOX}", "${who}15 min"),
        names=("1 min", "5 min", "15 min"),
        empty=NO_HOST,
    )
