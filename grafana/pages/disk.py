"""Models & storage: what the models take, how they grow, when the disk is full."""

from __future__ import annotations

from grafana import sdk, threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import MOUNTPOINTS, Legend, lines, stack
from grafana.dashboard import Page
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, absent, state_stat, values_stat
from grafana.tables import COLOURED, GAUGE, Column, day, number, share, table, text
from prometheus.expressions import DISK_USED
from prometheus.health import DISK
from prometheus.thresholds import DISK_FULL_WITHIN_SECONDS, DISK_PACE_LEAST_SECONDS, DISK_PACE_SECONDS

PAGE = "What the models take, how they grow, and when the disk is full."
NO_DIRECTORY = "No model directory in this range"

WEEKS_AHEAD = 14 * 86400
YEAR = 365 * 86400
SLOWEST_PACE = 1000  # bytes a second; what is slower is noise
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
    models = Page("grid-disk", PAGE, since="24h", refresh="5m")
    models.band(4, state_stat(DISK), stats(), widths=(6, 18))
    models.band(10, [(5, file_systems_now()), (5, space_now())], models_now())
    models.band(8, available_space())
    models.heading("Models over time", folded=True)
    models.band(10, places_now(), directories())
    models.band(9, models_over_time())
    models.annotate(reboots(), alerts("disk"))
    return models


def stats() -> Panel:
    """All directories in six values."""
    full_in = f"min({time_to_full('by (instance, mountpoint)')})"
    took = 'max(grid_probe_duration_seconds{BOX, probe=~"disk(:.*)?"})'
    return values_stat(
        "All model directories",
        "Growth, and the time until a file system is full at the slower pace of the range and an hour.",
        (
            Value("Models", f"count({MODELS})", "short"),
            Value("Size", "sum(grid_directory_size_bytes{BOX})", "decbytes", decimals=1),
            Value("Grew", f"sum({growth()})", "decbytes", decimals=0),
            Value("Full in", full_in, "s", steps=FULL_IN, decimals=1),
            Value(
                "Scan errors",
                "sum(grid_directory_scan_errors{BOX})",
                "short",
                steps=threshold_steps.WARN_FROM_ONE,
            ),
            Value("Scan took", took, "s", decimals=1),
            absent(DISK),
        ),
    )


def growth() -> str:
    """PromQL: what each directory grew by in the range, or since it is known."""
    size = "grid_directory_size_bytes{BOX}"
    return f"{size} - {size} offset $__range or delta({size}[$__range])"


def known_long_enough() -> str:
    """PromQL: file systems with a past to forecast from; minutes are too short for days."""
    return f"grid_filesystem_avail_bytes{{BOX}} offset {DISK_PACE_LEAST_SECONDS}s"


def pace(by: str, past: str = "$__range") -> str:
    """PromQL: by how many bytes a second file systems fill; nothing for those that do not.

    The slower of two paces, that of ``past`` and that of the last hour, as in the alerts: a download that has
    ended fills nothing.
    """
    long, short = (
        f"-1 * deriv(grid_filesystem_avail_bytes{{BOX}}[{seconds}])"
        for seconds in (past, f"{DISK_PACE_LEAST_SECONDS}s")
    )
    return f"max {by} (({long} < {short} or {short}) and {known_long_enough()}) > {SLOWEST_PACE}"


def time_to_full(by: str) -> str:
    """PromQL: the seconds until file systems are full at the mean pace of the range."""
    return f"min {by} (grid_filesystem_avail_bytes{{BOX}}) / ({pace(by)})"


def file_systems_now() -> Panel:
    """A row a file system that holds models, and the root."""
    seconds = time_to_full(FILE_SYSTEM)
    not_growing = f"max {FILE_SYSTEM} ({known_long_enough()}) * 0 - 1"
    unknown = f"max {FILE_SYSTEM} (grid_filesystem_size_bytes{{BOX}}) * 0 - 2"
    return table(
        "When is it full",
        "File systems, fullest first; the pace is the slower of the range's and the last hour's.",
        text("Mount", "mountpoint", least=78),
        share(
            "Used",
            f"max {FILE_SYSTEM} ({DISK_USED})",
            width=75,
        ),
        Column(
            title="Full in",
            promql=f"{seconds} or {not_growing} or {unknown}",
            unit="s",
            decimals=1,
            width=105,
            cell=COLOURED,
            base=value_mappings.PLAIN,
            steps=((0, value_mappings.CRITICAL), *FULL_IN[1:]),
            texts={-1: ("not growing", value_mappings.OFF), -2: ("not known yet", value_mappings.OFF)},
        ),
        day("Full on", f"(time() + ({seconds} < {YEAR})) * 1000"),
        worst_by="Used",
        hidden=("device", "fstype"),
        empty="No file system now",
    )


def space_now() -> Panel:
    """A row a file system: how large it is and what is left."""
    return table(
        "File systems",
        "The same file systems: what is available, their sizes and types.",
        text("Mount", "mountpoint", least=93),
        number(
            "Available",
            f"min {FILE_SYSTEM} (grid_filesystem_avail_bytes{{BOX}})",
            "decbytes",
            108,
            decimals=1,
        ),
        number("Size", f"max {FILE_SYSTEM} (grid_filesystem_size_bytes{{BOX}})", "decbytes", 80, decimals=1),
        text("Type", "fstype", width=60),
        worst_by="Available",
        ascending=True,
        hidden=("device",),
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
        text("Model", "entry", least=150),
        Column(
            title="Size",
            promql=size,
            unit="decbytes",
            decimals=1,
            width=85,
            cell=GAUGE,
            base=value_mappings.NEUTRAL,
        ),
        Column(
            title="Change",
            promql=change,
            unit="decbytes",
            decimals=1,
            width=76,
            cell=COLOURED,
            base=value_mappings.NEUTRAL,
            texts={0: (value_mappings.NO_VALUE, value_mappings.OFF)},
        ),
        hidden=("path",),
        worst_by="Size",
        empty="No models now",
    )


def places_now() -> Panel:
    """A row a model and the directory that it lies in."""
    return table(
        "Where models are",
        "The directory that each model lies in.",
        text("Model", "entry", least=150),
        text("Directory", "path", least=150),
        labels_from=f"max {MODEL} ({MODELS})",
        worst_by="Model",
        ascending=True,
        empty="No models now",
    )


def directories() -> Panel:
    """The size of each directory."""
    return stack(
        "Directories",
        "The size of each model directory, stacked.",
        "decbytes",
        over_time("grid_directory_size_bytes{BOX}", "${who}{{path}}"),
        empty=NO_DIRECTORY,
    )


def models_over_time() -> Panel:
    """Each model's size. No topk: over a range its members change."""
    return stack(
        "Models over time",
        "Each model's size, stacked.",
        "decbytes",
        over_time("max by (instance, entry) (grid_directory_entry_size_bytes{BOX})", "${who}{{entry}}"),
        legend=Legend(400, ("lastNotNull",)),
        empty=NO_DIRECTORY,
    )


def available_space() -> Panel:
    """What is left for models, and the forecast."""
    available = "min by (instance, mountpoint) (grid_filesystem_avail_bytes{BOX})"
    each = "by (instance, mountpoint)"
    forecast = f"{available} - {DISK_FULL_WITHIN_SECONDS} * ({pace(each, f'{DISK_PACE_SECONDS}s')})"
    panel = lines(
        "Available space",
        "What is left; dashed, three days later, at the slower pace of six hours and of one.",
        "decbytes",
        over_time(available, "${who}{{mountpoint}}"),
        over_time(f"clamp_min({forecast}, 0)", "${who}{{mountpoint}} in 3 days"),
        names=MOUNTPOINTS,
        empty="No file system in this range",
    )
    dashed = {"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}}
    sdk.override(panel, "byRegexp", "/in 3 days$/", dashed)
    return panel
