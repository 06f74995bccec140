"""Overview: the state of the box at a glance; each panel opens the page with the reason."""

from __future__ import annotations

from grafana import gpu_panels, threshold_steps, value_mappings
from grafana.alerts_table import firing_now
from grafana.annotations import alerts, limited_to, reboots
from grafana.charts import lines, timeline
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import overview_stat, worst
from grafana.threshold_steps import steps
from prometheus.expressions import DISK_USED, MEMORY_USED, SWAP_USED
from prometheus.health import AIDE, CONTAINERS, DISK, DOMAINS, EXPORTER, GPU, HOST, SERVICES, TOR

PAGE = "The state of the box at a glance; each panel opens the page with the reason."


def page() -> Page:
    """The page."""
    overview = Page("grid-overview", PAGE, since="24h", refresh="30s")
    stats = state_stats()  # in the order of the lanes below
    overview.band(3, *stats[:4])
    overview.band(3, *stats[4:])
    story = what_happened()
    overview.band(9, story, firing_now(), widths=(15, 9))
    overview.band(
        7,
        gpu_panels.use("GPU use"),
        gpu_panels.memory_used("GPU memory"),
        gpu_panels.core_temperature("GPU temperature"),
    )
    overview.band(7, memory_and_swap(), waiting_for(), disk_used())
    overview.annotate(reboots(), limited_to(story, alerts()))
    return overview


def state_stats() -> list[Panel]:
    """A panel a domain: its state and most important value."""
    memory_used = f"max({MEMORY_USED})"
    fullest = f"max({DISK_USED})"
    running = 'sum(grid_container_state{BOX, state="running"})'
    active = 'sum(grid_service_state{BOX, state=~"active|reloading|refreshing"})'
    checked = "time() - min(grid_aide_last_check_timestamp_seconds{BOX})"
    return [
        overview_stat(GPU, "use", "avg(grid_gpu_utilization_ratio{BOX})", "percentunit", decimals=0),
        overview_stat(
            HOST, "used", memory_used, "percentunit", *steps(threshold_steps.MEMORY_USED), decimals=0
        ),
        overview_stat(
            DISK, "fullest disk", fullest, "percentunit", *steps(threshold_steps.DISK_USED), decimals=1
        ),
        overview_stat(
            TOR,
            "latency",
            "max(grid_tor_check_duration_seconds{BOX})",
            "s",
            *steps(threshold_steps.TOR_REQUEST),
            decimals=1,
        ),
        overview_stat(CONTAINERS, "running", running, "short"),
        overview_stat(SERVICES, "active", active, "short"),
        overview_stat(AIDE, "last check", checked, "s", *steps(threshold_steps.AIDE_AGE), decimals=0),
        overview_stat(
            EXPORTER,
            "scrape",
            "max(scrape_duration_seconds{BOX})",
            "s",
            *steps(threshold_steps.SCRAPE),
            decimals=0,
        ),
    ]


def what_happened() -> Panel:
    """A row_height a domain, also for what the box does not have, so that the lanes keep their height."""
    return timeline(
        "What happened",
        "The worst state of each part over time, in the same texts as above. Red: when a firing alert began.",
        *(over_time(worst(domain), domain.title) for domain in DOMAINS),
        texts=value_mappings.state_texts(),
        empty="No grid-exporter answered in this range",
    )


def memory_and_swap() -> Panel:
    """What is left for programs."""
    return lines(
        "Memory and swap",
        "Memory that is not available to programs, and swap in use, as shares of the whole.",
        "percentunit",
        over_time(MEMORY_USED, "${who}memory"),
        over_time(SWAP_USED, "${who}swap"),
        names=("memory", "swap"),
        dashed=threshold_steps.MEMORY_USED,
        high=1,
        empty="No host metrics seen in this range",
    )


def waiting_for() -> Panel:
    """What slows the box down."""
    waiting = "sum by (instance, resource) (rate(grid_pressure_waiting_seconds_total{BOX}[$__rate_interval]))"
    return lines(
        "Waiting for",
        "The share of time in which some task waited for a processor, a disk or memory (pressure).",
        "percentunit",
        over_time(waiting, "${who}{{resource}}"),
        names=("cpu", "io", "memory"),
        empty="No pressure metrics in this range",
    )


def disk_used() -> Panel:
    """How full the disks are."""
    return lines(
        "Disk used",
        "The share of each file system that is not available; the dashed lines: low, and all but full.",
        "percentunit",
        over_time(f"max by (instance, mountpoint) ({DISK_USED})", "${who}{{mountpoint}}"),
        names=("/", "/.+"),
        dashed=threshold_steps.DISK_USED,
        high=1,
        empty="No model directory seen in this range",
    )
