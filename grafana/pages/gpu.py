"""GPU: each GPU's utilization, memory and who holds it, power, temperature, clocks, throttling, errors."""

from __future__ import annotations

from grafana import gpu_panels, threshold_steps, value_mappings
from grafana.annotations import alerts, reboots
from grafana.charts import CARDS, Legend, counts, lines, paint, stack, timeline
from grafana.dashboard import Page
from grafana.gpu_panels import NO_GPU, PER_CARD, card_lines
from grafana.sdk import Panel, over_time
from grafana.stat_panels import label_stat, state_stat, value_stat
from grafana.state_codes import one_code
from grafana.tables import number, share, table, text, text_of
from grafana.threshold_steps import steps
from prometheus.expressions import CARD_MEMORY_USED
from prometheus.health import GPU

# On the host the label is empty.
BY_PROCESS = 'label_replace(grid_gpu_process_memory_bytes{BOX}, "container", "(host)", "container", "")'

# Why a card runs below its clock: the driver's name, our code (the worst is the highest), our text.
THROTTLE_REASONS = (
    ("gpu_idle", 1, "idle", value_mappings.OFF),
    ("sw_power_cap", 2, "power limit", value_mappings.NEUTRAL),
    ("sw_thermal_slowdown", 11, "heat", value_mappings.WARNING),
    ("hw_slowdown", 12, "hardware", value_mappings.WARNING),
    ("hw_thermal_slowdown", 13, "heat (hardware)", value_mappings.CRITICAL),
    ("hw_power_brake_slowdown", 14, "power brake", value_mappings.CRITICAL),
)
WHY = {0: ("free", value_mappings.OK)} | {code: (text, colour) for _, code, text, colour in THROTTLE_REASONS}
THROTTLED_BY = one_code(
    "by (instance, gpu)",
    {f'grid_gpu_throttle_active{{BOX, reason="{reason}"}}': code for reason, code, _, _ in THROTTLE_REASONS},
)


def page() -> Page:
    """The page."""
    gpu = Page("grid-gpu", "Every card, and who uses it for what.", since="6h", refresh="30s")
    gpu.band(3, state_stat(GPU), *stats())
    gpu.band(5, cards_now())
    gpu.band(7, gpu_panels.use("Use"), gpu_panels.memory_used("Memory used"))
    gpu.band(8, memory_by_container(), memory_by_process())
    gpu.band(7, power(), gpu_panels.core_temperature("Core temperature"), memory_temperature())
    gpu.band(5, throttled_by())
    gpu.band(7, clock(), fan(), ecc_errors())
    gpu.annotate(reboots(), alerts("gpu"))
    return gpu


def stats() -> list[Panel]:
    """All cards in seven values."""
    used = "sum(grid_gpu_memory_used_bytes{BOX}) / sum(grid_gpu_memory_total_bytes{BOX})"
    # By the minute and not mean times range: what was not yet seen was not yet drawn.
    energy = "sum(sum_over_time(grid_gpu_power_draw_watts{BOX}[$__range:1m])) / 60"
    use = "avg(grid_gpu_utilization_ratio{BOX})"
    hottest = "max(grid_gpu_temperature_celsius{BOX})"
    power = "sum(grid_gpu_power_draw_watts{BOX})"
    driver = "count by (driver_version) (grid_gpu_info{BOX})"
    full = steps(threshold_steps.GPU_MEMORY_USED)
    return [
        value_stat("Cards", "Cards that the driver lists.", "sum(grid_gpus{BOX})"),
        value_stat("Use", "Mean over the cards.", use, "percentunit", decimals=0),
        value_stat(
            "Memory", "How much of all cards' memory is in use.", used, "percentunit", *full, decimals=0
        ),
        value_stat("Hottest", "The hottest core.", hottest, "celsius", *steps(threshold_steps.GPU_HEAT)),
        value_stat("Power", "What all cards draw together.", power, "watt", decimals=0),
        value_stat("Energy", "What all cards drew in the chosen range.", energy, "watth", decimals=1),
        label_stat("Driver", "The driver's version.", driver, "driver_version"),
    ]


def cards_now() -> Panel:
    """A row a GPU."""
    of_limit = "max by (instance, gpu) (grid_gpu_power_draw_watts{BOX} / grid_gpu_power_limit_watts{BOX})"
    # A series that no card here has would take its column with it.
    errors = (
        'sum by (instance, gpu) (grid_gpu_ecc_errors_lifetime_total{BOX, kind="uncorrected"})'
        " or max by (instance, gpu) (grid_gpu_info{BOX}) * 0 - 1"
    )
    return table(
        "Cards now",
        "A row a GPU. ECC: errors over the card's life that could not be corrected.",
        text("Instance", "instance", 130),
        text("GPU", "gpu", 50),
        text("Card", "name", 205),
        share("Use", "max by (instance, gpu) (grid_gpu_utilization_ratio{BOX})"),
        share(
            "Memory", f"max by (instance, gpu) ({CARD_MEMORY_USED})", *steps(threshold_steps.GPU_MEMORY_USED)
        ),
        number("of", "max by (instance, gpu) (grid_gpu_memory_total_bytes{BOX})", "bytes", 75),
        share("Power", of_limit),
        number("of limit", "max by (instance, gpu) (grid_gpu_power_limit_watts{BOX})", "watt", 75),
        number(
            "Core",
            "max by (instance, gpu) (grid_gpu_temperature_celsius{BOX})",
            "celsius",
            70,
            *steps(threshold_steps.GPU_HEAT),
        ),
        text_of("Throttled by", THROTTLED_BY, WHY | {0: ("free", value_mappings.PLAIN)}, 120),
        text_of("ECC", errors, {-1: ("no ECC", value_mappings.OFF)}, 70, *threshold_steps.CRITICAL_FROM_ONE),
        number("P-state", "max by (instance, gpu) (grid_gpu_performance_state{BOX})", "prefix:P", 75),
        number("PCIe", "max by (instance, gpu) (grid_gpu_pcie_link_generation{BOX})", width=60),
        number("Lanes", "max by (instance, gpu) (grid_gpu_pcie_link_width{BOX})", width=65),
        labels_from="max by (instance, gpu, name) (grid_gpu_info{BOX})",
        empty="No GPU values now",
    )


def memory_by_container() -> Panel:
    """Who holds the memory, over time."""
    return stack(
        "Memory by container",
        "Who holds the cards' memory; (host) is what runs outside containers.",
        "bytes",
        over_time(f"sum by (instance, container) ({BY_PROCESS})", "${who}{{container}}"),
        legend=Legend(300, ("lastNotNull", "max")),
        empty="No process held GPU memory in this range",
    )


def memory_by_process() -> Panel:
    """Who holds the memory, now."""
    held = f"sum by (instance, gpu, container, process) ({BY_PROCESS})"
    whole = "max by (instance, gpu) (grid_gpu_memory_total_bytes{BOX})"
    of_card = f"{held} / on (instance, gpu) group_left () {whole}"
    return table(
        "Memory by process, now",
        "Which process, in which container, holds how much of which card.",
        text("Instance", "instance", 120),
        text("GPU", "gpu", 50),
        text("Container", "container", 110),
        text("Process", "process", 110),
        number("Memory", held, "bytes", 90),
        share("of the card", of_card),
        worst_by="Memory",
        empty="No process holds GPU memory now",
    )


def power() -> Panel:
    """What the cards draw, and may draw."""
    panel = lines(
        "Power against limit",
        "What each card draws; dashed, the highest limit that is set.",
        "watt",
        over_time("grid_gpu_power_draw_watts{BOX}", PER_CARD),
        over_time("max by (instance) (grid_gpu_power_limit_watts{BOX})", "${who}limit"),
        names=CARDS,
        empty=NO_GPU,
    )
    dashed = {"fill": "dash", "dash": [6, 6]}
    paint(panel, "/.*limit$/", value_mappings.PLAIN, **{"custom.lineStyle": dashed})
    return panel


def memory_temperature() -> Panel:
    """How hot each card's memory is; many cards do not report it."""
    return card_lines(
        "Memory temperature",
        "The memory's temperature, where the card reports it; it heats up apart from the core.",
        "celsius",
        "grid_gpu_memory_temperature_celsius{BOX}",
        dashed=threshold_steps.GPU_MEMORY_HEAT,
        low=None,
        empty="No GPU here reports its memory's temperature",
    )


def throttled_by() -> Panel:
    """Why a card ran below its clock."""
    return timeline(
        "Throttled by",
        "Why the card ran below its clock: the gravest of the driver's reasons at the time.",
        over_time(THROTTLED_BY, PER_CARD),
        texts=WHY,
        empty=NO_GPU,
    )


def clock() -> Panel:
    """The clock that computing runs at; the memory's is another scale."""
    return card_lines(
        "SM clock",
        "The clock of the multiprocessors, which compute.",
        "hertz",
        'grid_gpu_clock_hertz{BOX, clock="sm"}',
    )


def fan() -> Panel:
    """What cools the cards."""
    return card_lines(
        "Fan",
        "The speed that the driver asks of the fan; a blocked one is not noticed.",
        "percentunit",
        "grid_gpu_fan_speed_ratio{BOX}",
        high=1,
        empty="No GPU here reports a fan",
    )


def ecc_errors() -> Panel:
    """Memory errors over the card's life, so that a step shows when they came."""
    errors = "sum by (instance, gpu, kind) (grid_gpu_ecc_errors_lifetime_total{BOX})"
    return counts(
        "ECC errors",
        "Memory errors over the card's life: corrected ones are wear, uncorrected ones spoil results.",
        "short",
        over_time(errors, "${who}GPU {{gpu}} {{kind}}"),
        empty="No card here counts ECC errors",
    )
