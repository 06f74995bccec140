"""The families of all cards, whoever made them. Each vendor fills those that its driver has values for."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.metrics.families import Family, Samples, counter, gauge

CARD = ("gpu", "uuid")


def _gauge(name: str, help_: str, source: str, *labels: str) -> Family:
    return gauge(f"grid_gpu_{name}", f"{help_} ({source}).", *CARD, *labels)


def _counter(name: str, help_: str, source: str, *labels: str) -> Family:
    return counter(f"grid_gpu_{name}", f"{help_} ({source}).", *CARD, *labels)


GPUS = gauge("grid_gpus", "Cards that answer (nvidia-smi --query-gpu; /sys/class/drm).", "vendor")
EXPECTED = gauge(
    "grid_gpus_expected",
    "Cards that the box is to have, of all vendors (probes.gpu.expect of the configuration).",
)
INFO = _gauge(
    "info", "What the card is, always 1",
    "nvidia-smi name, driver_version, vbios_version, pci.bus_id; sysfs uevent, vbios_version",
    "vendor", "name", "driver", "driver_version", "vbios_version", "pci_bus_id",
)  # fmt: skip
ASLEEP = _gauge(
    "asleep", "Whether the kernel has suspended the card, 1 or 0; all else is absent then, since reading it"
    " would wake the card", "sysfs power/runtime_status",
)  # fmt: skip
UTILIZATION = _gauge(
    "utilization_ratio", "Share of time in which it was busy, 0 to 1",
    "nvidia-smi utilization.gpu; amdgpu gpu_busy_percent; Intel: the time since the run before that was not"
    " idle, gtidle or rc6, which is an upper bound",
)  # fmt: skip
MEMORY_UTILIZATION = _gauge(
    "memory_utilization_ratio", "Share of time in which memory was read or written, 0 to 1",
    "nvidia-smi utilization.memory; amdgpu mem_busy_percent",
)  # fmt: skip
ENCODER = _gauge(
    "encoder_utilization_ratio", "Share of time in which video was encoded, 0 to 1",
    "nvidia-smi utilization.encoder",
)  # fmt: skip
DECODER = _gauge(
    "decoder_utilization_ratio", "Share of time in which video was decoded, 0 to 1",
    "nvidia-smi utilization.decoder",
)  # fmt: skip
MEMORY_TOTAL = _gauge(
    "memory_total_bytes", "Memory that models can use: the card's own, on an AMD APU VRAM and GTT, bytes",
    "nvidia-smi memory.total; amdgpu mem_info_vram_total, mem_info_gtt_total; Intel: cgroup dmem.capacity",
)  # fmt: skip
MEMORY_USED = _gauge(
    "memory_used_bytes", "Memory allocated, bytes",
    "nvidia-smi memory.used; amdgpu mem_info_vram_used, mem_info_gtt_used; Intel: the sum of fdinfo, where"
    " every process may be read",
)  # fmt: skip
MEMORY_FREE = _gauge(
    "memory_free_bytes", "Memory free, bytes", "nvidia-smi memory.free; else total less used"
)
MEMORY_RESERVED = _gauge(
    "memory_reserved_bytes", "Memory that the driver keeps, bytes", "nvidia-smi memory.reserved"
)
GTT_TOTAL = _gauge(
    "gtt_total_bytes", "The host's memory that the card may use, bytes", "amdgpu mem_info_gtt_total"
)
GTT_USED = _gauge("gtt_used_bytes", "The host's memory that the card uses, bytes", "amdgpu mem_info_gtt_used")
TEMPERATURE = _gauge(
    "temperature_celsius", "Temperature of the chip, Celsius",
    "nvidia-smi temperature.gpu; hwmon edge, else junction; Intel pkg",
)  # fmt: skip
TEMPERATURE_MARGIN = _gauge(
    "temperature_margin_celsius", "Degrees left until the chip slows down, Celsius",
    "nvidia-smi temperature.gpu.tlimit",
)  # fmt: skip
MEMORY_TEMPERATURE = _gauge(
    "memory_temperature_celsius", "Temperature of the memory, Celsius",
    "nvidia-smi temperature.memory; hwmon mem; Intel vram",
)  # fmt: skip
POWER = _gauge(
    "power_draw_watts", "Power drawn, watts; on an AMD APU with the processor",
    "nvidia-smi power.draw, else power.draw.average, else power.draw.instant; hwmon power1_average, else"
    " power1_input; Intel: from energy1_input, the mean since the run before",
)  # fmt: skip
POWER_LIMIT = _gauge(
    "power_limit_watts", "Power that may be drawn, watts",
    "nvidia-smi enforced.power.limit, else power.limit; hwmon power1_cap, else power1_max, power2_max",
)  # fmt: skip
POWER_DEFAULT = _gauge(
    "power_default_limit_watts", "The limit of power that the card comes with, watts",
    "nvidia-smi power.default_limit; hwmon power1_cap_default",
)  # fmt: skip
POWER_MAX = _gauge(
    "power_max_limit_watts", "The highest limit of power that may be set, watts",
    "nvidia-smi power.max_limit; hwmon power1_cap_max",
)  # fmt: skip
ENERGY = _counter(
    "energy_joules_total", "Energy that the card used since its driver was loaded, joules",
    "Intel hwmon energy1_input, else energy2_input",
)  # fmt: skip
FAN = _gauge(
    "fan_speed_ratio", "Fan speed; 1 is full, some exceed it",
    "nvidia-smi fan.speed, which is asked for; hwmon pwm1 of pwm1_max, else fan1_input of fan1_max; Intel:"
    " the fastest",
)  # fmt: skip
PCIE_GENERATION = _gauge(
    "pcie_link_generation", "PCIe generation",
    "nvidia-smi pcie.link.gen.current, else pcie.link.gen.gpucurrent; sysfs current_link_speed",
)  # fmt: skip
PCIE_WIDTH = _gauge(
    "pcie_link_width", "PCIe lanes in use", "nvidia-smi pcie.link.width.current; sysfs current_link_width"
)
PCIE_GENERATION_MAX = _gauge(
    "pcie_link_generation_max", "PCIe generation that card and slot are capable of",
    "nvidia-smi pcie.link.gen.max; sysfs max_link_speed, of card and port",
)  # fmt: skip
PCIE_WIDTH_MAX = _gauge(
    "pcie_link_width_max", "PCIe lanes that card and slot have",
    "nvidia-smi pcie.link.width.max; sysfs max_link_width, of card and port",
)  # fmt: skip
PERFORMANCE_STATE = _gauge(
    "performance_state", "Performance state, 0 (fastest) to 15 (slowest)", "nvidia-smi pstate"
)
THROTTLE = _gauge(
    "throttle_active", "Whether this holds the clocks down now, 1 or 0",
    "nvidia-smi clocks_event_reasons, on older drivers clocks_throttle_reasons; Intel throttle/reason_*",
    "reason",
)  # fmt: skip
THROTTLE_SECONDS = _counter(
    "throttle_seconds_total", "Time in which this held the clocks down, since the driver was loaded",
    "nvidia-smi clocks_event_reasons_counters", "reason",
)  # fmt: skip
CLOCK = _gauge(
    "clock_hertz", "Clock rate now, hertz; 0 where it is gated",
    "nvidia-smi clocks.current; hwmon freq1_input; Intel act_freq", "clock",
)  # fmt: skip
CLOCK_MAX = _gauge(
    "clock_max_hertz", "The highest clock rate, hertz",
    "nvidia-smi clocks.max; Intel max_freq", "clock",
)  # fmt: skip
ECC = _counter(
    "ecc_errors_total", "Memory errors since the driver was loaded",
    "nvidia-smi ecc.errors volatile total; amdgpu ras/umc_err_count", "kind",
)  # fmt: skip
ECC_LIFETIME = _counter(
    "ecc_errors_lifetime_total", "Memory errors in the card's life",
    "nvidia-smi ecc.errors aggregate total", "kind",
)  # fmt: skip
REMAPPED_ROWS = _gauge(
    "remapped_rows", "Rows of memory that were replaced by spare ones, by the kind of error",
    "nvidia-smi remapped_rows", "kind",
)  # fmt: skip
REMAPPED_PENDING = _gauge(
    "remapped_rows_pending", "Whether rows wait for a reset to be replaced, 1 or 0",
    "nvidia-smi remapped_rows.pending",
)  # fmt: skip
RETIRED_PAGES = _gauge(
    "retired_pages", "Pages of memory that are no longer used, by the kind of error",
    "nvidia-smi retired_pages", "kind",
)  # fmt: skip
RECOVERY = _gauge(
    "recovery_action", "What the driver asks for to bring the card back, 1 for the one that holds",
    "nvidia-smi gpu_recovery_action", "action",
)  # fmt: skip
XID = _counter(
    "xid_errors_total", "Errors of the card that the kernel's log holds since boot, by NVIDIA's number",
    "/dev/kmsg NVRM: Xid", "xid",
)  # fmt: skip
MIG_TOTAL = _gauge(
    "mig_memory_total_bytes", "Memory of a part of a divided card, bytes", "nvidia-smi -q", "instance",
    "profile",
)  # fmt: skip
MIG_USED = _gauge(
    "mig_memory_used_bytes", "Memory allocated in a part of a divided card, bytes", "nvidia-smi -q",
    "instance", "profile",
)  # fmt: skip
PROCESSES = _gauge(
    "processes", "Processes that compute on the card; absent where not all may be seen",
    "nvidia-smi --query-compute-apps pid; /proc/PID/fdinfo",
)  # fmt: skip
PROCESS_MEMORY = _gauge(
    "process_memory_bytes",
    "Card memory of processes of one name, container (empty: the host) and model (where known), bytes",
    "nvidia-smi --query-compute-apps used_gpu_memory; /sys/class/kfd, /proc/PID/fdinfo, cgroup dmem.current,"
    " at most 15 seconds old; /proc/PID/cgroup, cmdline",
    "process", "container", "model",
)  # fmt: skip


def add_info(
    samples: Samples, card: Sequence[str], *, vendor: str, name: str, driver: str, driver_version: str,
    vbios_version: str, pci_bus_id: str,
) -> None:  # fmt: skip
    """Adds what a card is."""
    samples.add(INFO, 1, *card, vendor, name, driver, driver_version, vbios_version, pci_bus_id)


def add_process_memory(
    samples: Samples, card: Sequence[str], used: float, about: tuple[str, str, str]
) -> None:
    """Adds what the processes of one name, container and model use. One without a model lacks that label."""
    process, container, model = about
    samples.add(PROCESS_MEMORY, used, *card, process, container, *filter(None, [model]))
