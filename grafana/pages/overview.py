"""Overview: the state of the box at a glance; each panel opens the page with the reason."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.alerts_table import firing_now
from grafana.annotations import alerts, limited_to, reboots
from grafana.charts import GPU_NAMES, MOUNTPOINTS, lines, timeline
from grafana.dashboard import Page
from grafana.gpu_panels import ASLEEP, PER_GPU
from grafana.host_queries import PROCESSORS_BUSY
from grafana.sdk import SEVERAL, Panel, over_time
from grafana.stat_panels import Value, names_stat, states_stat, values_stat
from grafana.threshold_steps import steps
from prometheus.expressions import DISK_USED, GPU_MEMORY_USED_RATIO, MEMORY_USED, SWAP_USED
from prometheus.health import CHOSEN, DOMAINS, Domain, health
from prometheus.recording import HEALTH

PAGE = "The state of the box at a glance; each panel opens the page with the reason."
NO_HOST = "No host metrics in this range"


def page() -> Page:
    """The page."""
    overview = Page("grid-overview", PAGE, since="24h", refresh="30s")
    overview.band(8, states())
    overview.band(5, values())
    history = states_over_time()
    overview.band(5, firing_now())
    overview.band(8, history)
    overview.band(7, utilization(), memory())
    overview.band(7, pressure(), disk_used())
    overview.band(3, off())
    overview.annotate(reboots(), limited_to(history, alerts()))
    return overview


def states() -> Panel:
    """The state of each domain that the box has."""
    description = "The worst state of each part of the chosen boxes, and the reason. A click opens its page."
    return states_stat("State", description, DOMAINS)


def off() -> Panel:
    """What the box does not have, in one line."""
    return names_stat(
        "Off",
        "Probes that are switched off, or for which the box has nothing; grid-exporter doctor reports why.",
        "max by (probe) (grid_probe_enabled{BOX}) == 0",
        "{{probe}}",
        text="off",
        empty="Nothing is off",
    )


def values() -> Panel:
    """The most important values of the box."""
    fullest = f"max({DISK_USED})"
    checked = "clamp_min(time() - min(grid_aide_last_check_timestamp_seconds{BOX}), 0)"
    tor = steps(threshold_steps.TOR_REQUEST)
    return values_stat(
        "Now",
        "The most important values; of several boxes the mean of the GPUs, and the worst of the rest.",
        (
            ASLEEP._replace(name="GPUs asleep"),
            Value("GPU use", "avg(grid_gpu_utilization_ratio{BOX})", "percentunit", "grid-gpu", decimals=0),
            Value(
                "VRAM",
                f"max({GPU_MEMORY_USED_RATIO})",
                "percentunit",
                "grid-gpu",
                steps(threshold_steps.GPU_MEMORY_USED),
                0,
            ),
            Value(
                "Hottest",
                "max(grid_gpu_temperature_celsius{BOX})",
                "celsius",
                "grid-gpu",
                steps(threshold_steps.GPU_HEAT),
            ),
            Value(
                "Memory",
                f"max({MEMORY_USED})",
                "percentunit",
                "grid-host",
                decimals=0,
            ),
            Value("Disk", fullest, "percentunit", "grid-disk", decimals=0),
            Value("LLM models", 'sum(grid_llm_model_state{BOX, state="loaded"})', "short", "grid-llm"),
            Value("Tor took", "max(grid_tor_check_duration_seconds{BOX})", "s", "grid-tor", tor, 1),
            Value(
                "Containers", 'sum(grid_container_state{BOX, state="running"})', "short", "grid-containers"
            ),
            Value(
                "Services",
                'sum(grid_service_state{BOX, state=~"active|reloading|refreshing"})',
                "short",
                "grid-services",
            ),
            Value("AIDE, ago", checked, "s", "grid-aide", steps(threshold_steps.AIDE_AGE), 0),
            Value(
                "Scrape",
                "max(scrape_duration_seconds{BOX})",
                "s",
                "grid-exporter",
                steps(threshold_steps.SCRAPE),
                0,
            ),
        ),
    )


def states_over_time() -> Panel:
    """A row for each domain that the box has; of several boxes only what was not OK."""
    return timeline(
        "States over time",
        "The state of each part over time; of several boxes only what was not OK. Red lines: an alert began.",
        *(over_time(_drawn(domain), f"${{who}}{domain.title}", CHOSEN) for domain in DOMAINS),
        texts=value_mappings.state_texts(),
        empty="No grid-exporter answered in this range",
        rows_a_page=9,
    )


def _drawn(domain: Domain) -> str:
    recorded = f'{HEALTH}{{BOX, domain="{domain.name}"}}'
    not_ok = f"max_over_time({recorded}[$__range] @ end()) > 0"
    one_box = f"last_over_time(up{{BOX}}[$__range] @ end()) * 0 + 1 unless on () ({SEVERAL})"
    return f"({health(domain.name, 'BOX')} >= 0) and on (job, instance) ({not_ok} or {one_box})"


def utilization() -> Panel:
    """How busy the processors and the GPUs are."""
    return lines(
        "Utilization",
        "The share of time in which the processors and each GPU were busy.",
        "percentunit",
        over_time(PROCESSORS_BUSY, "${who}processors"),
        over_time("grid_gpu_utilization_ratio{BOX}", PER_GPU),
        names=(*GPU_NAMES[:4], "processors"),
        high=1,
        empty=NO_HOST,
    )


def memory() -> Panel:
    """How full memory, swap and the GPUs' memory are."""
    return lines(
        "Memory used",
        "Memory that is not available to programs, swap and GPU memory in use.",
        "percentunit",
        over_time(MEMORY_USED, "${who}memory"),
        over_time(SWAP_USED, "${who}swap"),
        over_time(GPU_MEMORY_USED_RATIO, PER_GPU),
        names=(*GPU_NAMES[:4], "memory", "swap"),
        high=1,
        empty=NO_HOST,
    )


def pressure() -> Panel:
    """What slows the box down."""
    waiting = "max by (instance, resource) (rate(grid_pressure_waiting_seconds_total{BOX}[$__rate_interval]))"
    return lines(
        "Waiting for",
        "The share of time in which some task waited for a processor, a disk or memory (kernel pressure).",
        "percentunit",
        over_time(waiting, "${who}{{resource}}"),
        names=("cpu", "io", "memory"),
        high=1,
        empty="No pressure metrics in this range",
    )


def disk_used() -> Panel:
    """How full the disks are."""
    return lines(
        "Disk used",
        "The share of each file system that is not available.",
        "percentunit",
        over_time(f"max by (instance, mountpoint) ({DISK_USED})", "${who}{{mountpoint}}"),
        high=1,
        names=MOUNTPOINTS,
        empty="No file system in this range",
    )
