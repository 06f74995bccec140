"""Every threshold, once: the alerts, the health codes and the dashboards' colours all read it here.

Each name ends in its unit. "Warm", "low" and "slow" are worth a look, the others are to be acted on.
"""

GPU_WARM_CELSIUS = 83
GPU_HOT_CELSIUS = 90
GPU_MEMORY_WARM_CELSIUS = 95
GPU_MEMORY_HOT_CELSIUS = 105
GPU_MEMORY_FULL_RATIO = 0.97

MEMORY_LOW_RATIO = 0.10  # available, of the total
MEMORY_NEARLY_OUT_RATIO = 0.04
MEMORY_STALLED_RATIO = 0.1  # of the time every task waited for memory

DISK_LOW_RATIO = 0.10  # available, of the size
DISK_FULL_RATIO = 0.03
DISK_FULL_WITHIN_SECONDS = 3 * 86400  # predicted
DISK_PACE_SECONDS = 6 * 3600  # the past that the prediction draws on

TOR_SLOW_SECONDS = 10

CONTAINER_RESTARTS = 2  # more than so many within the window below is a loop
CONTAINER_RESTARTS_WINDOW_SECONDS = 15 * 60

TIMER_OVERDUE_SECONDS = 15 * 60

AIDE_OVERDUE_SECONDS = 2 * 86400

SCRAPE_SLOW_SECONDS = 5
PROBE_STALE_LIFETIMES = 2  # a snapshot's age over its ttl
PROBE_FORSAKEN_LIFETIMES = 3
