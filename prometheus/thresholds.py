"""Every threshold, once: the alerts, the health codes and the dashboards' colours all read it here.

The values just beyond and just short of each are in prometheus/tests/*.yml, which `make test-real` runs.
Each name ends in its unit. "Warm", "low" and "slow" are worth a look, the others are to be acted on.
"""

FLAPS_SECONDS = 2 * 3600  # in which it shows that a box or a probe comes and goes
FLAPS = 3  # more changes than that within it
FLAPS_RATIO = 0.8  # and it was there for less of the time than that: three short reboots are nothing
EXPORTER_RESTARTS = 4  # more than so many within an hour is a loop
NOTIFICATIONS_FAILED = 1  # more than so many within a quarter of an hour is no accident
PROBE_SUCCESS_RATIO = 0.5  # of the last minutes; below, the probe fails
PROBE_STALE_LIFETIMES = 2  # a snapshot's age over its ttl
PROBE_FORSAKEN_LIFETIMES = 3
PROBE_FORSAKEN_GRACE_SECONDS = 5 * 60  # on top, for whoever scrapes seldom
CLOCK_SKEW_SECONDS = 5 * 60  # between a box and Prometheus; a scrape's age looks like skew
CLOCK_TTL_SECONDS = 60  # a probe that runs as often tells the time of its box

GPU_WARM_CELSIUS = 83
GPU_HOT_CELSIUS = 90
GPU_MEMORY_WARM_CELSIUS = 95
GPU_MEMORY_HOT_CELSIUS = 105
GPU_MEMORY_FULL_RATIO = 0.97
GPU_THROTTLED_RATIO = 0.25  # of half an hour, by the hardware
GPU_LINK_RATIO = 0.9  # of the speed that card and slot are capable of
GPU_LOADED_RATIO = 0.5  # busy, and of the power limit, for a link that counts
GPU_LOADED_POWER_RATIO = 0.4
GPU_XID_WINDOW_SECONDS = 12 * 3600  # an error of the night is still there in the morning
GPU_GONE_WINDOW_SECONDS = 14 * 86400  # a card seen within it is missed

LLM_QUEUE_GROWTH = 4  # more requests wait than ten minutes ago, on the mean
LLM_SPILLED_RATIO = 0.10  # of a model's memory is not on a GPU; a little of each model never is

MEMORY_TIGHT_RATIO = 0.20  # available, of the total: a full swap matters below it
MEMORY_LOW_RATIO = 0.10
MEMORY_LOW_BYTES = 8e9  # available: a tenth of much memory is enough
MEMORY_NEARLY_OUT_RATIO = 0.04
MEMORY_NEARLY_OUT_BYTES = 4e9
MEMORY_STALLED_RATIO = 0.1  # of the time every task waited for memory
SWAP_FULL_RATIO = 0.9  # used, of the total
SWAP_STALLED_RATIO = 0.01  # of the time: a full swap that nobody waits for is harmless
BOOT_MOVED_SECONDS = 60  # the boot time wanders by less when the clock is set

DISK_LOW_RATIO = 0.10  # available, of the size
DISK_LOW_BYTES = 100e9  # available: a tenth of a large disk is room for some models yet
DISK_FULL_RATIO = 0.03
DISK_FULL_BYTES = 20e9
DISK_FULL_WITHIN_SECONDS = 3 * 86400  # predicted
DISK_PACE_SECONDS = 6 * 3600  # the past that the prediction draws on
DISK_PACE_LEAST_SECONDS = 3600  # a shorter past can't predict days
INODES_LOW_RATIO = 0.03  # free, of all
INODES_OUT_RATIO = 0.003
DISK_FILLING_RATIO = 0.40  # available, of the size: a prediction counts below it
DISK_FULL_SOON_SECONDS = 4 * 3600  # predicted from the last hour
DISK_FULL_SOON_RATIO = 0.15  # available, of the size: that prediction counts below it
DISK_FULL_SOON_BYTES = 50e9  # and below it: a download that leaves as much has fitted
DIRECTORY_WINDOW_SECONDS = 14 * 86400  # a mount seen within it is missed
DIRECTORY_LEFT_RATIO = 0.5  # of what a directory held; below, what it lay on was unmounted, not replaced
DIRECTORY_GREW_BYTES = 100e9  # within an hour

TOR_SLOW_SECONDS = 10
TOR_BYPASSED_SECONDS = 3600  # six exits in a row that the check page does not know are none
TOR_SAME_EXIT_SECONDS = 25 * 60  # a Tor exit is used for 10 minutes; what stays is no exit

LOOP_SECONDS = 6 * 3600  # in which a slow loop shows: a crash each half an hour
CONTAINER_RESTARTS = 4  # more than so many within an hour is a loop
CONTAINER_RESTARTS_SLOW = 8  # and so many within LOOP_SECONDS
CONTAINER_RESTARTED_SECONDS = 20 * 60  # without a restart for so long, the loop has ended

SERVICE_RESTARTS = 4
SERVICE_RESTARTS_SLOW = 8
SERVICE_RESTARTED_SECONDS = 20 * 60
SERVICE_FAILED_RATIO = 0.22  # of that time; beyond, it is given up and doesn't restart
TIMER_OVERDUE_SECONDS = 15 * 60

AIDE_OVERDUE_SECONDS = 2 * 86400
AIDE_AGAIN_SECONDS = 7 * 86400  # findings that follow others within it are those of the next upgrade
AIDE_UNACCEPTED_SECONDS = 86400  # those, too, are a warning when nobody has accepted them for so long

SCRAPE_SLOW_SECONDS = 5
