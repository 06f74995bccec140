"""Alerts about file systems and the model directories on them."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import GAP_SECONDS, amount, latest, over, own_value, series, span

AVAILABLE = f"{latest('grid_filesystem_avail_bytes')}\n/ {latest('grid_filesystem_size_bytes')}"
SPACE = " of ".join(amount(f"grid_filesystem_{kind}_bytes", "mountpoint") for kind in ("avail", "size"))
SIZE = latest("grid_directory_size_bytes")
SIZE_BEFORE = f"min_over_time({over(3600, 'grid_directory_size_bytes')})"


def alerts() -> list[Alert]:
    """What is full, what will be, and what fills it."""
    return [*_full(), *_filling(), *_unwritable(), *_directories()]


def _full() -> list[Alert]:
    return [
        Alert(
            name="GridDiskFull",
            severity="critical",
            expr=_less_than(t.DISK_FULL_RATIO, t.DISK_FULL_BYTES),
            wait=300,
            keep=3600,
            value=AVAILABLE,
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} is full",
            description=f"Only {SPACE} "
            "({{ $value | humanizePercentage }}) of {{ $labels.mountpoint }} on {{ $labels.instance }} "
            "({{ $labels.device }}) is available.",
        ),
        Alert(
            name="GridDiskLow",
            severity="warning",
            expr=_less_than(t.DISK_LOW_RATIO, t.DISK_LOW_BYTES),
            wait=900,
            keep=3600,
            value=AVAILABLE,
            summary="{{ $labels.instance }}: little space is left on {{ $labels.mountpoint }}",
            description=f"Only {SPACE} "
            "({{ $value | humanizePercentage }}) of {{ $labels.mountpoint }} on {{ $labels.instance }} "
            "({{ $labels.device }}) is available.",
        ),
    ]


def _filling() -> list[Alert]:
    soon = _full_within(t.DISK_FULL_SOON_SECONDS, t.DISK_PACE_LEAST_SECONDS)
    # A download that has just finished bends the slope of an hour: the last minutes must agree.
    yet = _full_within(t.DISK_FULL_SOON_SECONDS, 600)
    # Minutes are too short for hours: a box just installed has an hour's time.
    known = f"last_over_time({over(GAP_SECONDS, 'grid_filesystem_avail_bytes')} offset 50m)"
    little = _less_than(t.DISK_FULL_SOON_RATIO, t.DISK_FULL_SOON_BYTES)
    days = _full_within(t.DISK_FULL_WITHIN_SECONDS, t.DISK_PACE_SECONDS)
    # A download, long finished, bends the slope of many hours: the last hour must agree.
    still = _full_within(t.DISK_FULL_WITHIN_SECONDS, t.DISK_PACE_LEAST_SECONDS)
    return [
        Alert(
            name="GridDiskFullSoon",
            severity="critical",
            expr=f"{little}\nand {soon}\nand {yet}\nand {known}",
            wait=900,
            keep=3600,  # as GridDiskLow, which would be sent as it ends
            value=AVAILABLE,
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} will be full within hours",
            description=f"{SPACE} "
            "({{ $value | humanizePercentage }}) of {{ $labels.mountpoint }} on {{ $labels.instance }} "
            "({{ $labels.device }}) is available. At the pace of the last hour it "
            "will be full in a few hours.",
        ),
        Alert(
            name="GridDiskFilling",
            severity="warning",
            expr=f"{AVAILABLE} < {t.DISK_FILLING_RATIO}\nand {days}\nand {still}",
            wait=8 * 3600,  # longer than a download takes; what is quicker is GridDiskFullSoon
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} will be full within days",
            description=f"{SPACE} "
            "({{ $value | humanizePercentage }}) of {{ $labels.mountpoint }} on {{ $labels.instance }} "
            "({{ $labels.device }}) is available. At the pace of the last hours it "
            "will be full in a few days.",
        ),
    ]


def _unwritable() -> list[Alert]:
    """Space alone does not help."""
    inodes = f"{latest('grid_filesystem_inodes_free')}\n/ {latest('grid_filesystem_inodes')}"
    free, every = (own_value(f"grid_filesystem_{kind}", "mountpoint") for kind in ("inodes_free", "inodes"))
    left = f"Only {free} of {every} inodes ({{{{ $value | humanizePercentage }}}})"
    before = f"min_over_time({over(7 * 86400, 'grid_filesystem_read_only')})"
    return [
        Alert(
            name="GridInodesOut",
            severity="critical",
            expr=f"{inodes} < {t.INODES_OUT_RATIO}",
            wait=300,
            keep=3600,
            value=inodes,
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} can take no more files",
            description=f"{left} of {{{{ $labels.mountpoint }}}} on {{{{ $labels.instance }}}} "
            "({{ $labels.device }}) are left. Nothing new can be written there, however much space there is.",
        ),
        Alert(
            name="GridInodesLow",
            severity="warning",
            expr=f"{inodes} < {t.INODES_LOW_RATIO}",
            wait=900,
            keep=3600,
            value=inodes,
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} can hardly take more files",
            description=f"{left} of {{{{ $labels.mountpoint }}}} on {{{{ $labels.instance }}}} "
            "({{ $labels.device }}) are left. Without one nothing can be written there, however much space "
            "there is.",
        ),
        Alert(
            name="GridFileSystemReadOnly",
            severity="critical",
            # One that always was is meant to be.
            expr=f"{latest('grid_filesystem_read_only')} == 1\nand {before} == 0",
            wait=300,
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} is read-only",
            description="{{ $labels.mountpoint }} on {{ $labels.instance }} ({{ $labels.device }}) has "
            "become read-only. The kernel does so after errors of the disk or of the file system.",
        ),
    ]


def _less_than(ratio: float, floor: float) -> str:
    """Where less is available than this share of the size, and than so many bytes."""
    return f"{AVAILABLE} < {ratio}\nand {latest('grid_filesystem_avail_bytes')} < {floor:.0f}"


def _full_within(seconds: int, pace: int) -> str:
    """Where nothing will be available in so many seconds, at the pace of the last ``pace`` seconds."""
    return f"predict_linear({over(pace, 'grid_filesystem_avail_bytes')}, {seconds}) < 0"


def _before(name: str) -> str:
    """The highest value of the last two weeks, looked at each hour."""
    return f"max_over_time({series(name)}[{span(t.DIRECTORY_WINDOW_SECONDS)}:1h])"


def _directories() -> list[Alert]:
    held = _before("grid_directory_size_bytes")
    return [
        Alert(
            name="GridDirectoryGrew",
            severity="info",
            expr=f"{SIZE}\n- {SIZE_BEFORE}\n> {t.DIRECTORY_GREW_BYTES:.0f}",
            summary="{{ $labels.instance }}: {{ $labels.path }} grew by {{ $value | humanize }}B within an "
            "hour",
            description="{{ $labels.path }} on {{ $labels.instance }} is {{ $value | humanize }}B larger "
            "than within the last hour: a model was downloaded, or something writes there that should not.",
        ),
        Alert(
            name="GridDirectoryUnmounted",
            severity="warning",
            expr=f"{_before('grid_directory_info')}\nunless {latest('grid_directory_info')}\n"
            f"unless on (job, instance, mountpoint) {latest('grid_filesystem_size_bytes')}\n"
            f"and on (job, instance, path) {SIZE} < {t.DIRECTORY_LEFT_RATIO} * {held}",
            summary="{{ $labels.instance }}: {{ $labels.mountpoint }} is no longer mounted",
            description="{{ $labels.path }} on {{ $labels.instance }} lay on {{ $labels.mountpoint }}, where "
            "nothing is mounted any more: of its models "
            f"{amount('grid_directory_size_bytes', 'path')} are left.",
        ),
        Alert(
            name="GridDirectoryUnreadable",
            severity="warning",
            expr=f"{latest('grid_directory_scan_errors')} > 0",
            wait=3600,
            summary="{{ $labels.instance }}: parts of {{ $labels.path }} can't be read",
            description="grid-exporter can't read {{ $value }} places in {{ $labels.path }} on "
            "{{ $labels.instance }}, so its size is not known.",
        ),
    ]
