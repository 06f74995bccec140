"""Alerts about the graphics cards."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert, Severity
from prometheus.expressions import THROTTLED_BY_HARDWARE, amount, latest, over, series, span

MEMORY_USED = f"{latest('grid_gpu_memory_used_bytes')}\n/ {latest('grid_gpu_memory_total_bytes')}"
UNCORRECTED = latest("grid_gpu_ecc_errors_total", 'kind="uncorrected"')
THROTTLED_SECONDS = over(1800, "grid_gpu_throttle_seconds_total", THROTTLED_BY_HARDWARE)
THROTTLED_SCRAPES = over(1800, "grid_gpu_throttle_active", THROTTLED_BY_HARDWARE)
# An AMD GPU without a power limit is part of a processor, which is made to work at its limit, 95 °C and more.
APU = f"({latest('grid_gpu_gtt_total_bytes')} unless {latest('grid_gpu_power_limit_watts')})"
# An idle card narrows its link. ROCm may call an idle server busy, so that the power must agree.
LINK = (
    f"max_over_time({over(1800, 'grid_gpu_pcie_link_width')}) / {latest('grid_gpu_pcie_link_width_max')}\n"
    f"* 2 ^ (\n  max_over_time({over(1800, 'grid_gpu_pcie_link_generation')})\n"
    f"  - {latest('grid_gpu_pcie_link_generation_max')}\n)"
)
BUSY = f"avg_over_time({over(1800, 'grid_gpu_utilization_ratio')})"
POWER = f"avg_over_time({over(1800, 'grid_gpu_power_draw_watts')}) / {latest('grid_gpu_power_limit_watts')}"
# NVIDIA's numbers: memory that is lost, a card off the bus, its processor (GSP) that hangs; and what a
# program did wrong, or follows from another error. All others are worth a look.
FATAL = "48|62|64|79|95|119|120|140"
CARD = "GPU {{ or $labels.gpu $labels.uuid }}"  # one that was never listed has no number
OF_PROGRAMS = "8|13|31|32|43|45|68|69|109|154"
# A probe that fails on a box which had cards counts as no card: the driver is gone with them.
FAILS = latest("grid_probe_success", 'probe=~"gpu(:.+)?"') + " == 0"
OF_NVIDIA = f'label_replace({FAILS}, "vendor", "nvidia", "probe", "gpu")'
OF_VENDOR = f'label_replace({OF_NVIDIA}, "vendor", "$1", "probe", "gpu:(.+)")'
CARDS = f"{latest('grid_gpus')}\n  or on (job, instance, vendor) {OF_VENDOR}"
EXPECTED = latest("grid_gpus_expected")


def alerts() -> list[Alert]:
    """Heat and what it does, the link, memory, errors and cards that are gone."""
    return [*_heat(), _throttled(), _link(), *_memory(), *_resets(), *_xids(), _gone()]


def _heat() -> list[Alert]:
    return [
        Alert(
            name="GridGpuHot",
            severity="critical",
            expr=f"{latest('grid_gpu_temperature_celsius')} >= {t.GPU_HOT_CELSIUS}\nunless {APU}",
            wait=300,
            keep=1800,  # GridGpuThrottled looks back as far
            value=latest("grid_gpu_temperature_celsius"),
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} is at {{ $value }} °C",
            description="The core of GPU {{ $labels.gpu }} in {{ $labels.instance }} is at {{ $value }} "
            "°C. It slows down now and switches itself off if it gets hotter.",
        ),
        Alert(
            name="GridGpuMemoryHot",
            severity="critical",
            expr=f"{latest('grid_gpu_memory_temperature_celsius')} >= {t.GPU_MEMORY_HOT_CELSIUS}",
            wait=300,
            keep=1800,  # GridGpuThrottled looks back as far
            value=latest("grid_gpu_memory_temperature_celsius"),
            summary="{{ $labels.instance }}: the memory of GPU {{ $labels.gpu }} is at {{ $value }} °C",
            description="The memory of GPU {{ $labels.gpu }} in {{ $labels.instance }} is at {{ $value }} "
            "°C, where it slows down and ages quickly.",
        ),
    ]


def _throttled() -> Alert:
    return Alert(
        name="GridGpuThrottled",
        severity="warning",
        expr=f"rate({THROTTLED_SECONDS}) > {t.GPU_THROTTLED_RATIO}\n"
        f"or avg_over_time({THROTTLED_SCRAPES}) > {t.GPU_THROTTLED_RATIO}",
        wait=600,
        summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} is throttled ({{ $labels.reason }})",
        description="GPU {{ $labels.gpu }} in {{ $labels.instance }} was slowed down by its hardware for "
        "{{ $value | humanizePercentage }} of the last half hour. The driver's reason: "
        "{{ $labels.reason }}.",
    )


def _link() -> Alert:
    loaded = f"{BUSY} > {t.GPU_LOADED_RATIO}\nand {POWER} > {t.GPU_LOADED_POWER_RATIO}"
    return Alert(
        name="GridGpuLinkNarrow",
        severity="warning",
        expr=f"{LINK}\n< {t.GPU_LINK_RATIO}\nand {loaded}",
        wait=600,
        keep=6 * 3600,  # the link shows only under load, which comes and goes
        value=LINK,
        summary="{{ $labels.instance }}: the PCIe link of GPU {{ $labels.gpu }} is narrow",
        description="The PCIe link of GPU {{ $labels.gpu }} in {{ $labels.instance }} has under load "
        "{{ $value | humanizePercentage }} of the speed that the card and its slot are capable of. Models "
        "load, and cards exchange data, so much slower.",
    )


def _memory() -> list[Alert]:
    return [
        Alert(
            name="GridGpuMemoryFull",
            severity="info",  # what trains or serves a model takes what there is
            expr=f"{MEMORY_USED} > {t.GPU_MEMORY_FULL_RATIO}",
            wait=1800,
            keep=3600,
            value=MEMORY_USED,
            summary="{{ $labels.instance }}: the memory of GPU {{ $labels.gpu }} is full",
            description=f"{amount('grid_gpu_memory_used_bytes', 'gpu')} of "
            f"{amount('grid_gpu_memory_total_bytes', 'gpu')} "
            "({{ $value | humanizePercentage }}) of the memory of GPU {{ $labels.gpu }} in "
            "{{ $labels.instance }} is in use, and has been for long. The next model or a longer prompt "
            "won't fit.",
        ),
        Alert(
            name="GridGpuEccUncorrected",
            severity="critical",
            expr=f"{UNCORRECTED} > 0",
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} has uncorrected memory errors",
            description="GPU {{ $labels.gpu }} in {{ $labels.instance }} met {{ $value }} memory errors "
            "since boot that ECC could not correct. What was computed on it can't be trusted.",
        ),
    ]


def _resets() -> list[Alert]:
    action = "grid_gpu_recovery_action"
    return [
        Alert(
            name="GridGpuNeedsReset",
            severity="critical",
            expr=f"""{latest(action, 'action!~"none|drain.*"')} == 1""",
            wait=120,
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} needs a {{ $labels.action }}",
            description="GPU {{ $labels.gpu }} in {{ $labels.instance }} can't be used until its recovery "
            "action, {{ $labels.action }}, is carried out.",
        ),
        Alert(
            name="GridGpuResetPending",
            severity="warning",
            expr=f"{latest('grid_gpu_remapped_rows_pending')} == 1\n"
            f"""or {latest(action, 'action=~"drain.*"')} == 1""",
            summary="{{ $labels.instance }}: GPU {{ $labels.gpu }} waits for a reset",
            description="GPU {{ $labels.gpu }} in {{ $labels.instance }} works, but parts of it, such as "
            "rows of its memory, are bad and remapped at its next reset.",
        ),
    ]


def _xids() -> list[Alert]:
    return [
        _xid(
            "GridGpuXidFatal", "critical", f'xid=~"{FATAL}"',
            ": its hardware has failed, or it hangs, and what ran on it is lost.",
        ),
        _xid(
            "GridGpuXid", "warning", f'xid!~"{FATAL}|{OF_PROGRAMS}"',
            ". It may be wear, a bad link or the driver.",
        ),
        _xid(
            "GridGpuXidApplication", "info", f'xid=~"{OF_PROGRAMS}"',
            ": most likely a program did what it must not, and was ended.",
        ),
    ]  # fmt: skip


def _xid(name: str, severity: Severity, matcher: str, meaning: str) -> Alert:
    """An alert about errors that came within the window.

    They are counted since boot, and the first has no increase: its series begins at 1.
    """
    errors = "grid_gpu_xid_errors_total", matcher
    before = f"last_over_time({over(3600, *errors)} offset {span(t.GPU_XID_WINDOW_SECONDS)})"
    more = f"increase({over(t.GPU_XID_WINDOW_SECONDS, *errors)}) > 0"
    return Alert(
        name=name,
        severity=severity,
        expr=f"{latest(*errors)} > 0\nunless (\n  {before}\n  unless {more}\n)",
        summary=f"{{{{ $labels.instance }}}}: {CARD} reports Xid {{{{ $labels.xid }}}}",
        description=f"The kernel's log of {{{{ $labels.instance }}}} has Xid {{{{ $labels.xid }}}} of {CARD} "
        f"within the last hours{meaning}",
    )


def _gone() -> Alert:
    """Fewer cards than their owner says there are, or, where nobody says, than were there lately."""
    # Looked at every 10 minutes: all samples of two weeks would be too many.
    had = f"{series('grid_gpus')}[{span(t.GPU_GONE_WINDOW_SECONDS)}:10m]"
    remembered = f"max_over_time({had})\n- on (job, instance, vendor) (\n  {CARDS}\n)"
    expected = f"{EXPECTED}\n- on (job, instance) sum by (job, instance) (\n  {CARDS}\n)"
    missing = f"{expected}MORE\nor\n(\n{remembered}MORE\n)\nunless on (job, instance) {EXPECTED}"
    left = "sum(last_over_time(grid_gpus{job=%q, instance=%q}[10m]))"
    return Alert(
        name="GridGpuGone",
        severity="critical",
        expr=missing.replace("MORE", "\n> 0"),
        wait=300,
        keep=600,  # the average of GridProbeFailing lags as long
        value=missing.replace("MORE", ""),
        summary="{{ $labels.instance }}: {{ $value }} GPU(s) gone",
        description="{{ $labels.instance }} has {{ $value }} GPU(s) fewer than "
        "{{ if $labels.vendor }}within the last two weeks{{ else }}it is to have{{ end }}, and "
        f"{{{{ with printf `{left}` $labels.job $labels.instance | query }}}}{{{{ . | first | value }}}}"
        "{{ else }}0{{ end }} left: off the bus, without their driver, or taken out.",
    )
