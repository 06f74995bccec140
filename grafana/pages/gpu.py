"""GPU: each GPU's utilization, memory and who holds it, power, temperature, clocks, throttling, errors."""

from __future__ import annotations

from grafana import gpu_panels, sdk, threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import GPU_NAMES, bars, counts, lines, paint, stack, timeline
from grafana.dashboard import Page
from grafana.gpu_panels import NO_GPU, PER_GPU, gpu_lines
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, state_stat, values_stat
from grafana.state_codes import one_code
from grafana.tables import Column, number, share, table, text, text_of
from grafana.threshold_steps import steps
from grafana.value_mappings import NO_VALUE, OFF
from prometheus.expressions import GPU_MEMORY_USED_RATIO
from prometheus.health import GPU

EACH = "by (instance, gpu)"
# On the host the label is empty; most processes have no model.
BY_PROCESS = (
    'label_replace(label_replace(grid_gpu_process_memory_bytes{BOX}, "container", "(host)", "container", ""),'
    f' "model", "{NO_VALUE}", "model", "")'
)

# Why a GPU runs below its clock: the driver's name (NVIDIA's, Intel's), our code, the worst highest, text.
THROTTLE_REASONS = (
    ("gpu_idle", 1, "idle", OFF),
    ("sw_power_cap", 2, "power limit", value_mappings.NEUTRAL),
    ("applications_clocks_setting", 3, "clock setting", value_mappings.NEUTRAL),
    ("sync_boost", 4, "sync boost", value_mappings.NEUTRAL),
    ("pl[124]", 6, "power limit", value_mappings.NEUTRAL),
    ("thermal|prochot|ratl|vr_.*", 10, "heat", value_mappings.WARNING),
    ("sw_thermal_slowdown", 11, "heat", value_mappings.WARNING),
    ("hw_slowdown", 12, "hardware", value_mappings.WARNING),
    ("hw_thermal_slowdown", 13, "heat (hardware)", value_mappings.CRITICAL),
    ("hw_power_brake_slowdown", 14, "power brake", value_mappings.CRITICAL),
)
ASLEEP = 5  # runtime-suspended: it reports nothing else, and nothing wakes it
REASON_TEXTS = {ASLEEP: ("asleep", OFF), 0: ("none", value_mappings.OK)} | {
    code: (text, colour) for _, code, text, colour in THROTTLE_REASONS
}
THROTTLED_BY = one_code(
    EACH,
    {f'grid_gpu_throttle_active{{BOX, reason=~"{reason}"}}': code for reason, code, _, _ in THROTTLE_REASONS}
    | {"(grid_gpu_asleep{BOX} == 1)": ASLEEP},
)
# Without the vendor, which is in the driver's name.
MODEL = 'label_replace(grid_gpu_info{BOX}, "model", "$1", "name", "(?:NVIDIA )?(.*)")'
FREE = f"max {EACH} (grid_gpu_memory_total_bytes{{BOX}} - grid_gpu_memory_used_bytes{{BOX}})"


def page() -> Page:
    """The page."""
    gpu = Page("grid-gpu", "Each GPU: its state, what limits it, and who uses it.", since="6h", refresh="30s")
    gpu.choose_gpus()
    gpu.ask_price()
    gpu.band(4, state_stat(GPU), stats(), widths=(6, 18))
    gpu.band(5, gpus_now())
    gpu.heading("Why is it slow")
    gpu.band(8, *what_limits())
    gpu.band(5, throttled_by())
    gpu.heading("Memory")
    gpu.band(7, gpu_panels.memory_used("Memory used"), will_it_fit())
    gpu.band(8, memory_by_process(), memory_by_container(), widths=(16, 8))
    gpu.heading("Power and temperature")
    gpu.band(7, power(), temperature())
    gpu.heading("Hardware", folded=True)
    gpu.band(6, hardware_now())
    gpu.band(7, memory_temperature(), fan(), performance_state(), media())
    gpu.band(7, pcie(), ecc_errors(), throttled_share(), widths=(8, 8, 8))
    gpu.band(6, xid_errors(), mig(), shared_memory(), widths=(6, 12, 6))
    gpu.annotate(reboots(), alerts("gpu"))
    return gpu


def stats() -> Panel:
    """All GPUs in six values."""
    # By the minute, not mean times range: what was not yet scraped was not yet drawn.
    drawn = f"sum {EACH} (sum_over_time(grid_gpu_power_draw_watts{{BOX}}[$__range:1m])) / 60"
    counted = f"sum {EACH} (increase(grid_gpu_energy_joules_total{{BOX}}[$__range])) / 3600"
    energy = f"sum({counted} or {drawn})"
    used = "sum(grid_gpu_memory_used_bytes{BOX}) / sum(grid_gpu_memory_total_bytes{BOX})"
    full, hot = steps(threshold_steps.GPU_MEMORY_USED), steps(threshold_steps.GPU_HEAT)
    return values_stat(
        "All GPUs",
        "Use is their mean, the memory that of all together; energy and its cost are those of the range.",
        (
            Value("Use", "avg(grid_gpu_utilization_ratio{BOX})", "percentunit", decimals=0),
            Value("Memory", used, "percentunit", steps=full, decimals=0),
            Value("Hottest", "max(grid_gpu_temperature_celsius{BOX})", "celsius", steps=hot),
            Value("Power", "sum(grid_gpu_power_draw_watts{BOX})", "watt", decimals=0),
            Value("Energy", energy, "watth", decimals=1),
            Value("Cost", f"{energy} / 1000 * $price", "none", decimals=2),
        ),
    )


def gpus_now() -> Panel:
    """A row a GPU."""
    of_limit = f"max {EACH} (grid_gpu_power_draw_watts{{BOX}} / grid_gpu_power_limit_watts{{BOX}})"
    # A series that no GPU here has would take its column with it.
    errors = (
        f'sum {EACH} (grid_gpu_ecc_errors_total{{BOX, kind="uncorrected"}})'
        f" or max {EACH} (grid_gpu_info{{BOX}}) * 0 - 1"
    )
    return table(
        "GPUs now",
        "A row a GPU, the hottest first. ECC: uncorrected memory errors since boot.",
        text("GPU", "gpu", 55),
        text("Model", "model", least=140),
        share("Use", f"max {EACH} (grid_gpu_utilization_ratio{{BOX}})", width=95),
        share(
            "Memory",
            f"max {EACH} ({GPU_MEMORY_USED_RATIO})",
            *steps(threshold_steps.GPU_MEMORY_USED),
            width=95,
        ),
        number("Free", FREE, "bytes", 80, decimals=1),
        share("Power", of_limit, width=95),
        number(
            "Core",
            f"max {EACH} (grid_gpu_temperature_celsius{{BOX}})",
            "celsius",
            75,
            *steps(threshold_steps.GPU_HEAT),
        ),
        text_of("Throttled by", THROTTLED_BY, REASON_TEXTS | {0: ("none", value_mappings.PLAIN)}, 115),
        text_of("ECC", errors, {-1: ("no ECC", OFF)}, 70, *threshold_steps.CRITICAL_FROM_ONE),
        labels_from=f"max by (instance, gpu, model) ({MODEL})",
        worst_by="Core",
        empty="No GPU metrics now",
    )


def what_limits() -> list[Panel]:
    """For each GPU, all that can limit it on one axis."""
    gpu = 'BOX, gpu=~"$gpu"'
    highest = f'max_over_time(grid_gpu_clock_hertz{{{gpu}, clock="graphics"}}[$__range])'
    fastest = f'(grid_gpu_clock_max_hertz{{{gpu}, clock="graphics"}} or {highest})'
    clock = f'grid_gpu_clock_hertz{{{gpu}, clock="graphics"}} / {fastest}'
    power = f"grid_gpu_power_draw_watts{{{gpu}}} / grid_gpu_power_limit_watts{{{gpu}}}"
    heat = f'max {EACH} (grid_gpu_throttle_active{{{gpu}, reason=~".*thermal.*|hw_.*|prochot|ratl|vr_.*"}})'
    capped = f'max {EACH} (grid_gpu_throttle_active{{{gpu}, reason=~"sw_power_cap|pl[124]"}})'
    panel = lines(
        "GPU $gpu",
        "Utilization, how busy its memory is, the clock of its highest, power of its limit, throttling.",
        "percentunit",
        over_time(f"grid_gpu_utilization_ratio{{{gpu}}}", "${who}utilization"),
        over_time(f"grid_gpu_memory_utilization_ratio{{{gpu}}}", "${who}memory bandwidth"),
        over_time(clock, "${who}clock"),
        over_time(power, "${who}power"),
        over_time(heat, "${who}throttled by heat"),
        over_time(capped, "${who}throttled by power"),
        names=("utilization", "memory bandwidth", "clock", "power"),
        high=1,
        empty=NO_GPU,
    )
    area = {"custom.fillOpacity": 20, "custom.lineWidth": 0}
    paint(panel, "/throttled by heat$/", value_mappings.CRITICAL, **area)
    paint(panel, "/throttled by power$/", value_mappings.NEUTRAL, **area)
    panel.repeat = "gpu"
    panel.repeat_direction = "h"
    panel.max_per_row = 2
    return [panel]


def throttled_by() -> Panel:
    """Why a GPU ran below its clock."""
    return timeline(
        "Throttled by",
        "Why the GPU ran below its clock: the worst of the driver's reasons at the time.",
        over_time(THROTTLED_BY, PER_GPU),
        texts=REASON_TEXTS,
        empty=NO_GPU,
    )


def memory_by_container() -> Panel:
    """Who holds the memory, over time."""
    return stack(
        "Memory by container",
        "Who holds the GPUs' memory; (host) is what runs outside containers.",
        "bytes",
        over_time(f"sum by (instance, container) ({BY_PROCESS})", "${who}{{container}}"),
        empty="No process held GPU memory in this range",
    )


def memory_by_process() -> Panel:
    """Who holds the memory, now."""
    held = f"sum by (instance, gpu, container, process, model) ({BY_PROCESS})"
    whole = f"max {EACH} (grid_gpu_memory_total_bytes{{BOX}})"
    of_card = f"{held} / on (instance, gpu) group_left () {whole}"
    return table(
        "Memory by process",
        "Which process, in which container, holds how much of which GPU.",
        text("GPU", "gpu", 50),
        text("Container", "container", least=85),
        text("Process", "process", least=85),
        text("Model", "model", least=85),
        number("Memory", held, "bytes", 105, decimals=1),
        share("of the GPU", of_card, width=100),
        worst_by="Memory",
        empty="No process holds GPU memory now",
    )


FITS = {
    3: ("on one GPU", value_mappings.PLAIN),
    2: ("on all GPUs", value_mappings.NEUTRAL),
    1: ("if freed", value_mappings.WARNING),
    0: ("no", OFF),
}


def will_it_fit() -> Panel:
    """A row a model on disk: whether its files are smaller than the memory that is free."""
    size = 'max by (instance, path, entry) (grid_directory_entry_size_bytes{BOX, entry!="(other)"})'
    limits = (
        f"max by (instance) ({FREE})",
        f"sum by (instance) ({FREE})",
        "sum by (instance) (grid_gpu_memory_total_bytes{BOX})",
    )
    fits = " + ".join(f"({size} < bool on (instance) group_left () {limit})" for limit in limits)
    return table(
        "Will it fit",
        "Whether a model's files are smaller than the free GPU memory; its context needs some on top.",
        Column(title="Model", label="entry", least=100),
        number("Size", size, "bytes", 80, decimals=1),
        text_of("Fits", fits, FITS, 95),
        hidden=("path",),
        worst_by=("Fits", "Size"),
        empty="No models, or no GPU",
    )


def power() -> Panel:
    """What the GPUs draw, and may draw."""
    panel = lines(
        "Power",
        "What each GPU draws; dashed in its colour, its limit.",
        "watt",
        over_time("grid_gpu_power_draw_watts{BOX}", PER_GPU),
        over_time("grid_gpu_power_limit_watts{BOX}", f"{PER_GPU} limit"),
        names=GPU_NAMES,
        empty=NO_GPU,
    )
    dashed = {"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}}
    sdk.override(panel, "byRegexp", "/limit$/", dashed)
    return panel


def temperature() -> Panel:
    """How hot each core is."""
    return gpu_lines(
        "Core temperature",
        "The temperature of each core; dashed: warm, and hot.",
        "celsius",
        "grid_gpu_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_HEAT,
        low=None,
    )


def memory_temperature() -> Panel:
    """How hot each GPU's memory is."""
    return gpu_lines(
        "Memory temperature",
        "The temperature of the memory, where the GPU reports it; dashed: warm, and hot.",
        "celsius",
        "grid_gpu_memory_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_MEMORY_HEAT,
        low=None,
        empty="Not reported here",
    )


def fan() -> Panel:
    """What cools the GPUs."""
    return gpu_lines(
        "Fan",
        "The speed that the driver asks of the fan; a blocked one is not noticed.",
        "percentunit",
        "grid_gpu_fan_speed_ratio{BOX}",
        high=1,
        empty="Not reported here",
    )


def performance_state() -> Panel:
    """How fast the driver lets each GPU run."""
    return gpu_lines(
        "Performance state",
        "NVIDIA's performance state: P0 is the fastest, P8 and above are idle.",
        "prefix:P",
        "grid_gpu_performance_state{BOX}",
        empty="Not reported here",
    )


def media() -> Panel:
    """How busy the video engines are."""
    return lines(
        "Video engines",
        "How busy each GPU's encoder and decoder are.",
        "percentunit",
        over_time("grid_gpu_encoder_utilization_ratio{BOX}", f"{PER_GPU} encoder"),
        over_time("grid_gpu_decoder_utilization_ratio{BOX}", f"{PER_GPU} decoder"),
        high=1,
        empty="Not reported here",
    )


def throttled_share() -> Panel:
    """For how much of the time each GPU was throttled."""
    rate = f"sum {EACH[:-1]}, reason) (rate(grid_gpu_throttle_seconds_total{{BOX}}[$__rate_interval]))"
    return lines(
        "Throttled time",
        "The share of time in which each reason throttled the GPU, where the driver counts it.",
        "percentunit",
        over_time(rate, f"{PER_GPU} {{{{reason}}}}"),
        high=1,
        empty="No GPU here was throttled, or counts it",
    )


def hardware_now() -> Panel:
    """A row a GPU: its parts that wear, its links and limits."""
    known = f"or max {EACH} (grid_gpu_info{{BOX}}) * 0 - 1"
    none = {-1: (NO_VALUE, OFF)}
    return table(
        "Hardware",
        "A row a GPU: its link of the possible, power limits, replaced memory, what the driver asks for.",
        text("GPU", "gpu", 55),
        text("Driver", "driver_version", 85),
        text("VBIOS", "vbios_version", least=90),
        share("Link", _of_possible("generation"), width=85),
        share("Lanes", _of_possible("width"), width=85),
        number("Std. W", f"max {EACH} (grid_gpu_power_default_limit_watts{{BOX}})", "watt", 70),
        number("Max W", f"max {EACH} (grid_gpu_power_max_limit_watts{{BOX}})", "watt", 70),
        number("Margin", f"max {EACH} (grid_gpu_temperature_margin_celsius{{BOX}})", "celsius", 75),
        text_of("Rows", f"sum {EACH} (grid_gpu_remapped_rows{{BOX}}) {known}", none, 60),
        text_of("Pages", f"sum {EACH} (grid_gpu_retired_pages{{BOX}}) {known}", none, 65),
        text_of("Needs", f"{NEEDS} {known}", NEEDS_TEXTS, 80),
        labels_from=("max by (instance, gpu, driver_version, vbios_version) (grid_gpu_info{BOX})"),
        worst_by="Needs",
        empty="No GPU metrics now",
    )


def _of_possible(part: str) -> str:
    """PromQL: a part of the PCIe link in use, of what the slot and the GPU can do."""
    link = f"grid_gpu_pcie_link_{part}"
    return f"max {EACH} ({link}{{BOX}}) / max {EACH} ({link}_max{{BOX}})"


# What the driver asks for: the reboot that remaps rows, or its own recovery action.
NEEDS = (
    f"max {EACH} (grid_gpu_remapped_rows_pending{{BOX}} * 2 or "
    'grid_gpu_recovery_action{BOX, action!~"(?i)none"})'
)
NEEDS_TEXTS = {
    -1: (NO_VALUE, OFF),
    0: ("nothing", value_mappings.PLAIN),
    1: ("recovery", value_mappings.CRITICAL),
    2: ("reboot", value_mappings.WARNING),
}


def xid_errors() -> Panel:
    """NVIDIA's errors in the kernel's log."""
    return bars(
        "Xid errors",
        "Errors of NVIDIA GPUs in the kernel's log, by NVIDIA's number.",
        "short",
        over_time(
            f"sum {EACH[:-1]}, xid) (increase(grid_gpu_xid_errors_total{{BOX}}[$__rate_interval])) > 0",
            f"{PER_GPU} Xid {{{{xid}}}}",
        ),
        empty="No Xid error in this range",
    )


def mig() -> Panel:
    """The parts of GPUs that are divided."""
    # The exporter's label instance comes so renamed out of Prometheus.
    each = "by (instance, gpu, exported_instance, profile)"
    return table(
        "MIG parts",
        "The parts of GPUs that are divided by MIG, with the memory that each uses.",
        text("GPU", "gpu", 55),
        text("Profile", "profile", least=100),
        number("Used", f"max {each} (grid_gpu_mig_memory_used_bytes{{BOX}})", "bytes", 85, decimals=1),
        number("Total", f"max {each} (grid_gpu_mig_memory_total_bytes{{BOX}})", "bytes", 85, decimals=1),
        hidden=("exported_instance",),
        empty="No GPU here is divided",
    )


def shared_memory() -> Panel:
    """System memory that AMD GPUs use."""
    return lines(
        "GTT memory",
        "System memory that AMD GPUs use, and may use.",
        "bytes",
        over_time("grid_gpu_gtt_used_bytes{BOX}", f"{PER_GPU} used"),
        over_time("grid_gpu_gtt_total_bytes{BOX}", f"{PER_GPU} total"),
        empty="No AMD GPU here",
    )


def pcie() -> Panel:
    """The links to the processor."""
    return lines(
        "PCIe link",
        "The generation and the lanes of the link in use; an idle GPU lowers its generation.",
        "none",
        over_time("grid_gpu_pcie_link_generation{BOX}", f"{PER_GPU} generation"),
        over_time("grid_gpu_pcie_link_width{BOX}", f"{PER_GPU} lanes"),
        empty="No GPU here reports its PCIe link",
    )


def ecc_errors() -> Panel:
    """Memory errors over the GPU's life, so that a step shows when they came."""
    errors = "sum by (instance, gpu, kind) (grid_gpu_ecc_errors_lifetime_total{BOX})"
    return counts(
        "ECC errors",
        "Memory errors over the GPU's life: corrected ones are wear, uncorrected ones spoil results.",
        "short",
        over_time(errors, f"{PER_GPU} {{{{kind}}}}"),
        empty="No GPU here counts ECC errors",
    )
