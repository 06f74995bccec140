"""GPU: each GPU's utilization, memory and who holds it, power, temperature, clocks, throttling, errors."""

from __future__ import annotations

from grafana import gpu_panels, threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.gpu import hardware, heat, memory, throttling
from grafana.gpu_panels import EACH
from grafana.sdk import Panel
from grafana.stat_panels import Value, absent, state_stat, values_stat
from grafana.tables import number, table, text, text_of
from grafana.threshold_steps import steps
from grafana.value_mappings import OFF
from prometheus.expressions import GPU_MEMORY_USED_RATIO
from prometheus.health import GPU

# Without the vendor, which is in the driver's name.
MODEL = 'label_replace(grid_gpu_info{BOX}, "model", "$1", "name", "(?:NVIDIA )?(.*)")'


def page() -> Page:
    """The page."""
    gpu = Page("grid-gpu", "Each GPU: its state, what limits it, and who uses it.", since="6h", refresh="30s")
    gpu.choose_gpus()
    gpu.ask_price()
    gpu.band(4, state_stat(GPU), stats(), widths=(6, 18))
    gpu.band(5, gpus_now(), memory_now())
    gpu.heading("Why is it slow")
    gpu.band(9, *throttling.what_limits())
    gpu.heading("Throttling, power, heat", folded=True)
    gpu.band(5, throttling.throttled_by())
    gpu.band(7, heat.power(), heat.temperature())
    gpu.heading("Who uses memory, what fits", folded=True)
    gpu.band(7, gpu_panels.memory_used("Memory used"), memory.will_it_fit())
    gpu.band(8, memory.memory_by_process(), memory.memory_by_model())
    gpu.band(7, memory.memory_by_container())
    gpu.heading("Hardware", folded=True)
    gpu.band(6, hardware.links_now(), hardware.wear_now())
    gpu.band(6, hardware.versions(), throttling.throttled_share())
    gpu.band(7, heat.memory_temperature(), heat.fan(), hardware.performance_state(), hardware.media())
    gpu.band(7, hardware.pcie(), hardware.ecc_errors())
    gpu.heading("MIG, GTT, Xid errors", folded=True)
    gpu.band(6, memory.mig(), memory.shared_memory(), hardware.xid_errors(), widths=(12, 6, 6))
    gpu.annotate(reboots(), alerts("gpu"))
    return gpu


def stats() -> Panel:
    """All GPUs in a few values."""
    # By the minute, not mean times range: what was not yet scraped was not yet drawn.
    drawn = f"sum {EACH} (sum_over_time(grid_gpu_power_draw_watts{{BOX}}[$__range:1m])) / 60"
    counted = f"sum {EACH} (increase(grid_gpu_energy_joules_total{{BOX}}[$__range])) / 3600"
    energy = f"sum({counted} or {drawn})"
    used = "sum(grid_gpu_memory_used_bytes{BOX}) / sum(grid_gpu_memory_total_bytes{BOX})"
    full, hot = steps(threshold_steps.GPU_MEMORY_USED), steps(threshold_steps.GPU_HEAT)
    return values_stat(
        "All GPUs",
        "Use is the mean of those awake, memory that of all; energy and its cost are those of the range.",
        (
            gpu_panels.ASLEEP._replace(page=""),
            Value("Use", "avg(grid_gpu_utilization_ratio{BOX})", "percentunit", decimals=0),
            Value("Memory", used, "percentunit", steps=full, decimals=0),
            Value("Hottest", "max(grid_gpu_temperature_celsius{BOX})", "celsius", steps=hot),
            Value("Power", "sum(grid_gpu_power_draw_watts{BOX})", "watt", decimals=0),
            Value("Energy", energy, "watth", decimals=1),
            Value("Cost", f"{energy} / 1000 * $price", "none", decimals=2),
            absent(GPU),
        ),
    )


def gpus_now() -> Panel:
    """A row a GPU: how busy and hot it is, and what slows it down."""
    of_limit = f"max {EACH} (grid_gpu_power_draw_watts{{BOX}} / grid_gpu_power_limit_watts{{BOX}})"
    return table(
        "GPUs now",
        "A row a GPU, the hottest first: its use, power of its limit, core temperature, what slows it down.",
        text("GPU", "gpu", least=52),
        text_of(
            "Slowed by",
            throttling.THROTTLED_BY,
            throttling.REASON_TEXTS | {0: ("none", value_mappings.PLAIN)},
            110,
        ),
        number("Use", f"max {EACH} (grid_gpu_utilization_ratio{{BOX}})", "percentunit", least=56, decimals=0),
        number("Power", of_limit, "percentunit", least=56, decimals=0, one_box=True),
        number(
            "Core",
            f"max {EACH} (grid_gpu_temperature_celsius{{BOX}})",
            "celsius",
            72,
            *steps(threshold_steps.GPU_HEAT),
        ),
        labels_from=f"max {EACH} (grid_gpu_info{{BOX}})",
        worst_by="Core",
        empty="No GPU metrics now",
    )


def memory_now() -> Panel:
    """A row a GPU: its model and memory."""
    # A series that no GPU here has would take its column with it.
    errors = (
        f'sum {EACH} (grid_gpu_ecc_errors_total{{BOX, kind="uncorrected"}})'
        f" or max {EACH} (grid_gpu_info{{BOX}}) * 0 - 1"
    )
    full = steps(threshold_steps.GPU_MEMORY_USED)
    return table(
        "GPU memory now",
        "A row a GPU, the fullest first: memory used and free, uncorrected memory errors since boot (ECC).",
        text("GPU", "gpu", "model", least=80),
        number("Used", f"max {EACH} ({GPU_MEMORY_USED_RATIO})", "percentunit", 76, *full, decimals=0),
        number("Free", memory.FREE, "bytes", 76, decimals=1),
        text_of("ECC", errors, {-1: ("no ECC", OFF)}, 66, *threshold_steps.CRITICAL_FROM_ONE),
        labels_from=f"max by (instance, gpu, model) ({MODEL})",
        worst_by="Used",
        empty="No GPU metrics now",
    )
