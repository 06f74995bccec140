"""Who holds the memory, and what would fit into it."""

from __future__ import annotations

from grafana import value_mappings
from grafana.charts import lines, stack
from grafana.gpu_panels import EACH, PER_GPU
from grafana.sdk import Panel, over_time
from grafana.tables import Column, number, share, table, text, text_of
from grafana.value_mappings import OFF

# On the host the label is empty.
BY_PROCESS = 'label_replace(grid_gpu_process_memory_bytes{BOX}, "container", "(host)", "container", "")'
FREE = f"max {EACH} (grid_gpu_memory_total_bytes{{BOX}} - grid_gpu_memory_used_bytes{{BOX}})"


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
    return table(
        "Memory by process",
        "Which process, in which container, holds how much of which GPU.",
        text("GPU", "gpu", least=52),
        text("Container", "container", least=88),
        text("Process", "process", least=86),
        number("Used", f"sum by (instance, gpu, container, process) ({BY_PROCESS})", "bytes", 82, decimals=1),
        worst_by="Used",
        empty="No process holds GPU memory now",
    )


def memory_by_model() -> Panel:
    """Which model holds the memory, now."""
    of_models = 'grid_gpu_process_memory_bytes{BOX, model!=""}'
    held = f"sum by (instance, gpu, model) ({of_models})"
    whole = f"max {EACH} (grid_gpu_memory_total_bytes{{BOX}})"
    return table(
        "Memory by model",
        "Which model holds how much of which GPU, where its server names the model of its process.",
        text("GPU", "gpu", least=52),
        text("Model", "model", least=90),
        number("Used", held, "bytes", 82, decimals=1),
        share("Of GPU", f"{held} / on (instance, gpu) group_left () {whole}", width=74),
        worst_by="Used",
        empty="No process here names its model",
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
        number("Size", f"{size} and on (instance) {FREE}", "bytes", 80, decimals=1),
        text_of("Fits", fits, FITS, 95),
        hidden=("path",),
        worst_by=("Fits", "Size"),
        empty="No models, or no GPU",
    )


def mig() -> Panel:
    """The parts of GPUs that are divided."""
    # The exporter's label instance comes so renamed out of Prometheus.
    each = "by (instance, gpu, exported_instance, profile)"
    return table(
        "MIG parts",
        "The parts of GPUs that are divided by MIG, with the memory that each uses.",
        text("GPU", "gpu", least=80),
        text("Profile", "profile", least=80),
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
