"""The parts that wear, the links, the engines for video, and what the driver reports of them."""

from __future__ import annotations

from grafana import value_mappings
from grafana.charts import bars, counts, lines
from grafana.gpu_panels import EACH, PER_GPU, gpu_lines
from grafana.sdk import Panel, over_time
from grafana.tables import number, table, text, text_of
from grafana.value_mappings import NO_VALUE, OFF

KNOWN = f"or max {EACH} (grid_gpu_info{{BOX}}) * 0 - 1"


def links_now() -> Panel:
    """A row a GPU: its link and limits."""
    return table(
        "Links and limits",
        "A row a GPU: its PCIe link of the possible, its usual and highest power limit.",
        text("GPU", "gpu", least=52),
        number("Link", _of_possible("generation"), "percentunit", 82, decimals=0, empty=NO_VALUE),
        number("Lanes", _of_possible("width"), "percentunit", least=66, decimals=0, empty=NO_VALUE),
        number("Std. W", f"max {EACH} (grid_gpu_power_default_limit_watts{{BOX}})", "watt", least=66),
        number(
            "Max W", f"max {EACH} (grid_gpu_power_max_limit_watts{{BOX}})", "watt", least=66, one_box=True
        ),
        labels_from=f"max {EACH} (grid_gpu_info{{BOX}})",
        worst_by="Link",
        ascending=True,
        empty="No GPU here reports its links and limits",
    )


def wear_now() -> Panel:
    """A row a GPU: its parts that wear."""
    none = {-1: (NO_VALUE, OFF)}
    return table(
        "Wear",
        "A row a GPU: replaced memory, degrees until it slows down, and what the driver asks for.",
        text("GPU", "gpu", least=52),
        text_of("Needs", f"{NEEDS} {KNOWN}", NEEDS_TEXTS, 86),
        text_of("Rows", f"sum {EACH} (grid_gpu_remapped_rows{{BOX}}) {KNOWN}", none, 62),
        text_of("Pages", f"sum {EACH} (grid_gpu_retired_pages{{BOX}}) {KNOWN}", none, 64, one_box=True),
        number("Margin", f"max {EACH} (grid_gpu_temperature_margin_celsius{{BOX}})", "celsius", least=66),
        worst_by="Needs",
        empty="No GPU metrics now",
    )


def versions() -> Panel:
    """A row a GPU: its driver and firmware."""
    return table(
        "Driver and firmware",
        "A row a GPU: the versions of its driver and of its video BIOS.",
        text("GPU", "gpu", least=66),
        text("Driver", "driver_version", least=110),
        text("VBIOS", "vbios_version", least=110),
        labels_from="max by (instance, gpu, driver_version, vbios_version) (grid_gpu_info{BOX})",
        worst_by="GPU",
        ascending=True,
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
