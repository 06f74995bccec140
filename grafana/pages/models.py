"""Models & storage: what the models weigh, how they grow, when the disk is full."""

from __future__ import annotations

from grafana import threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import Legend, lines, stack
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import state_stat, value_stat
from grafana.tables import COLOURED, GAUGE, Column, number, share, table, text
from grafana.threshold_steps import steps
from prometheus.expressions import DISK_USED
from prometheus.health import DISK
from prometheus.thresholds import DISK_FULL_WITHIN_SECONDS

PAGE = "What the models weigh, how they grow, and when the disk is full."
NO_DIRECTORY = "No model directory seen in this range"

WEEKS_AHEAD = 14 * 86400
FULL_IN = (
    (0, value_mappings.CRITICAL),
    (DISK_FULL_WITHIN_SECONDS, value_mappings.WARNING),
    (WEEKS_AHEAD, value_mappings.PLAIN),
)

FILE_SYSTEM = "by (instance, mountpoint, device, fstype)"
MODEL = "by (instance, path, entry)"
MODELS = 'grid_directory_entry_size_bytes{BOX, entry!="(other)"}'


def page() -> Page:
    """The page."""
    models = Page("grid-models", PAGE, since="7d", refresh="5m")
    models.band(3, state_stat(DISK), *stats())
    models.band(5, file_systems_now())
    models.band(11, models_now(), [(7, directories()), (4, removed())], widths=(14, 10))
    models.band(9, models_over_time(), available_space(), widths=(14, 10))
    models.annotate(reboots(), alerts("disk"))
    return models


def stats() -> list[Panel]:
    """All directories in seven values."""
    weight = "sum(grid_directory_size_bytes{BOX})"
    fullest = f"max({DISK_USED})"
    full_in = f"min({time_to_full('by (instance, mountpoint)')})"
    pace = "When the first file system is full, at the mean pace of the chosen range."
    unread = "sum(grid_directory_scan_errors{BOX})"
    took = 'max(grid_probe_duration_seconds{BOX, probe=~"disk(:.*)?"})'
    odd = threshold_steps.WARN_FROM_ONE
    return [
        value_stat("Models", "Models found in the directories.", f"count({MODELS})"),
        value_stat("Total size", "All model directories together.", weight, "decbytes", decimals=1),
        value_stat(
            "Grew", "All directories together, in the range.", f"sum({growth()})", "decbytes", decimals=0
        ),
        value_stat(
            "Fullest",
            "The fullest file system.",
            fullest,
            "percentunit",
            *steps(threshold_steps.DISK_USED),
            decimals=1,
        ),
        value_stat("Full in", pace, full_in, "s", *FULL_IN, decimals=1, empty="not growing"),
        value_stat(
            "Unreadable", "Places that could not be read: their size is not known.", unread, "short", *odd
        ),
        value_stat("Measuring", "How long the slowest measuring took.", took, "s", decimals=1),
    ]


def growth() -> str:
    """What each directory grew by in the range; where it is known for less, since it is known."""
    size = "grid_directory_size_bytes{BOX}"
    return f"{size} - {size} offset $__range or delta({size}[$__range])"


def time_to_full(by: str) -> str:
    """When file systems are full at the mean pace of the range; nothing for those that do not grow.

    The pace is the range's: over a day, one download read as "full in 9 hours".
    """
    available = f"min {by} (grid_filesystem_avail_bytes{{BOX}})"
    bytes_a_second = f"max {by} (-1 * deriv(grid_filesystem_avail_bytes{{BOX}}[$__range]))"
    return f"{available} / ({bytes_a_second} > 1000)"


def file_systems_now() -> Panel:
    """A row a file system that holds models, and the root."""
    return table(
        "File systems now",
        "The file systems under the model directories and the root, fullest first; the pace is the range's.",
        text("Instance", "instance", 130),
        text("Mounted at", "mountpoint", 200),
        share("Used", f"max {FILE_SYSTEM} ({DISK_USED})", *steps(threshold_steps.DISK_USED), decimals=1),
        number(
            "Available",
            f"min {FILE_SYSTEM} (grid_filesystem_avail_bytes{{BOX}})",
            "decbytes",
            110,
            decimals=1,
        ),
        number("Size", f"max {FILE_SYSTEM} (grid_filesystem_size_bytes{{BOX}})", "decbytes", 110, decimals=1),
        number(
            "Grew",
            f"-1 * min {FILE_SYSTEM} (delta(grid_filesystem_avail_bytes{{BOX}}[$__range]))",
            "decbytes",
            110,
            decimals=1,
        ),
        Column(
            title="Full in",
            promql=time_to_full(FILE_SYSTEM),
            unit="s",
            decimals=1,
            width=130,
            cell=COLOURED,
            base=value_mappings.PLAIN,
            steps=FULL_IN,
            null="not growing",
        ),
        text("Device", "device", 160),
        text("Type", "fstype", 80),
        worst_by="Used",
        empty="No file system now",
    )


def models_now() -> Panel:
    """A row a model."""
    size = f"max {MODEL} (grid_directory_entry_size_bytes{{BOX}})"
    known = "max by (instance, path) (grid_directory_size_bytes{BOX} offset $__range)"
    # A model is new where its directory was known at the beginning and it was not.
    change = (
        f"{size} - max {MODEL} (grid_directory_entry_size_bytes{{BOX}} offset $__range)"
        f" or {size} and on (instance, path) {known}"
        f" or max {MODEL} (delta(grid_directory_entry_size_bytes{{BOX}}[$__range]))"
    )
    return table(
        "Models now",
        "Every model, largest first, with its change over the range. (other): the rest of a large directory.",
        text("Model", "entry", 325),
        Column(
            title="Size", promql=size, unit="decbytes", decimals=1, cell=GAUGE, base=value_mappings.NEUTRAL
        ),
        Column(
            title="Change",
            promql=change,
            unit="decbytes",
            decimals=1,
            width=95,
            cell=COLOURED,
            base=value_mappings.NEUTRAL,
            steps=((0, value_mappings.OFF), (1, value_mappings.NEUTRAL)),
        ),
        text("Directory", "path", 180),
        text("Instance", "instance", 110),
        worst_by="Size",
        empty="No models now",
    )


def directories() -> Panel:
    """What each directory weighs."""
    return stack(
        "Directories",
        "What each model directory weighs, one on top of the other.",
        "decbytes",
        over_time("grid_directory_size_bytes{BOX}", "${who}{{path}}"),
        empty=NO_DIRECTORY,
    )


def removed() -> Panel:
    """What is no longer there, while the directory still is."""
    seen = f"max {MODEL} (last_over_time({MODELS}[$__range:5m]))"
    gone = f"{seen} unless max {MODEL} ({MODELS}) and on (instance, path) grid_directory_info{{BOX}}"
    return table(
        "Removed in this range",
        "Models that were there within the range and are gone, with the size that they had.",
        text("Model", "entry"),
        number("Was", gone, "decbytes", 100, decimals=1),
        text("Directory", "path", 180),
        text("Instance", "instance", 110),
        worst_by="Was",
        empty="No model was removed in this range",
    )


def models_over_time() -> Panel:
    """Each model's size. No topk: over a range its members change."""
    return stack(
        "Models over time",
        "Each model's size, one on top of the other.",
        "decbytes",
        over_time("max by (instance, entry) (grid_directory_entry_size_bytes{BOX})", "${who}{{entry}}"),
        legend=Legend(400, ("lastNotNull",)),
        empty=NO_DIRECTORY,
    )


def available_space() -> Panel:
    """What is left for models."""
    available = "min by (instance, mountpoint) (grid_filesystem_avail_bytes{BOX})"
    return lines(
        "Available space",
        "What is left for models on each file system.",
        "decbytes",
        over_time(available, "${who}{{mountpoint}}"),
        names=("/", "/.+"),
        empty=NO_DIRECTORY,
    )
