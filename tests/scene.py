"""Exporters for the status page, whose probes succeeded, failed, got stuck, or still run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.load import Plan
from exporter.engine.cache import Cache
from exporter.engine.exporter import Exporter
from exporter.engine.runner import boot_clock
from exporter.probe import Duration, Note, Probe, ProbeError, Result, Schedule
from exporter.probes import KINDS
from tests.summaries import SUMMARIES

Outcome = Result | ProbeError | None

GIB = 1 << 30
NOW = time.time()

LLM = """
grid_llm_up{server="ollama"} 1
grid_llm_ready{server="ollama"} 1
grid_llm_server_info{server="ollama",kind="ollama",version="0.33.0",container="",unit="ollama.service"} 1
grid_llm_model_state{server="ollama",model="qwen3:8b",state="loaded"} 1
grid_llm_model_state{server="ollama",model="llama3.3:70b",state="loaded"} 1
grid_llm_model_state{server="ollama",model="llama3.3:70b",state="loading"} 0
grid_llm_model_memory_bytes{server="ollama",model="qwen3:8b",location="gpu"} 8e9
grid_llm_model_memory_bytes{server="ollama",model="llama3.3:70b",location="gpu"} 12e9
grid_llm_model_memory_bytes{server="ollama",model="llama3.3:70b",location="host"} 5e9
grid_llm_requests{server="ollama",model="qwen3:8b",state="running"} 1
grid_llm_requests{server="ollama",model="qwen3:8b",state="waiting"} 4
"""
HOST = f"""
grid_memory_total_bytes {64 * GIB}
grid_memory_available_bytes {40 * GIB}
grid_swap_total_bytes {8 * GIB}
grid_swap_free_bytes {7 * GIB}
grid_load1 1.73
grid_cpus 16
grid_boot_timestamp_seconds {NOW - 12 * 86400}
"""
GPU = """
grid_gpus 2
grid_gpu_info{gpu="0",name="NVIDIA GeForce RTX 4090"} 1
grid_gpu_info{gpu="1",name="NVIDIA GeForce RTX 4090"} 1
grid_gpu_utilization_ratio{gpu="0"} 0.12
grid_gpu_utilization_ratio{gpu="1"} 0.87
grid_gpu_memory_used_bytes{gpu="0"} 4e9
grid_gpu_memory_used_bytes{gpu="1"} 19e9
grid_gpu_memory_total_bytes{gpu="0"} 25.7e9
grid_gpu_memory_total_bytes{gpu="1"} 25.7e9
grid_gpu_temperature_celsius{gpu="0"} 41
grid_gpu_temperature_celsius{gpu="1"} 86
grid_gpu_power_draw_watts{gpu="0"} 61.2
grid_gpu_power_draw_watts{gpu="1"} 402.5
grid_gpu_throttle_active{gpu="0",reason="sw_power_cap"} 1
grid_gpu_throttle_active{gpu="0",reason="hw_thermal_slowdown"} 0
grid_gpu_throttle_active{gpu="1",reason="hw_thermal_slowdown"} 1
"""
DISK = """
grid_directory_size_bytes{path="/ai/models"} 412.4e9
grid_directory_entry_size_bytes{path="/ai/models",entry="meta-llama/Llama-3.3-70B"} 141e9
grid_directory_entry_size_bytes{path="/ai/models",entry="Qwen/Qwen3-32B"} 66e9
grid_directory_info{path="/ai/models",mountpoint="/ai"} 1
grid_filesystem_avail_bytes{mountpoint="/",device="/dev/nvme0n1p2",fstype="ext4"} 88e9
grid_filesystem_avail_bytes{mountpoint="/ai",device="/dev/nvme1n1",fstype="ext4"} 1.23e12
"""
TOR = f"""
grid_tor_up 1
grid_tor_is_tor 1
grid_tor_exit_info{{address="198.51.100.4"}} 1
grid_tor_exit_changed_timestamp_seconds {NOW - 640}
grid_tor_check_duration_seconds 1.31
"""
AIDE = f"""
grid_aide_last_check_timestamp_seconds {NOW - 4 * 3600}
grid_aide_check_success 1
grid_aide_clean 0
grid_aide_entries{{change="added"}} 0
grid_aide_entries{{change="removed"}} 1
grid_aide_entries{{change="changed"}} 3
grid_aide_accept_success 0
grid_aide_accept_timestamp_seconds {NOW - 3600}
"""
SERVICES = """
grid_service_state{name="ollama.service",state="active"} 1
grid_service_state{name="ollama.service",state="failed"} 0
grid_service_state{name="vllm.service",state="active"} 0
grid_service_state{name="vllm.service",state="failed"} 1
grid_systemd_failed_units 1
"""
CONTAINERS = """
grid_container_engine_up 1
grid_container_state{container="web",state="running"} 1
grid_container_state{container="web",state="restarting"} 0
grid_container_state{container="job",state="running"} 0
grid_container_state{container="job",state="restarting"} 1
grid_container_health{container="web",health="healthy"} 0
grid_container_health{container="web",health="unhealthy"} 1
grid_container_watchtower_enabled{container="web"} 1
grid_container_watchtower_enabled{container="job"} 0
grid_watchtower_up 1
"""
TOR_OFF = Note(
    "Tor is here but not asked, since asking sends traffic out",
    'probes:\n  tor:\n    socks: "127.0.0.1:9050"',
)
NO_DRIVER = Note(
    "no NVIDIA driver (nvidia-smi) here", "install the driver with its nvidia-smi where there is a card"
)
NOT_ASKED = Note("not in the configuration", "add it under probes: in /etc/grid-exporter/config.yml")
DIFFERENCES = (
    Note("AIDE found differences", "sudo grid-exporter aide show"),
    Note(
        "the last attempt to accept failed: that is not the ID of the last check",
        "sudo grid-exporter aide show",
    ),
)
BROKEN = ProbeError(
    "nvidia-smi: Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error",
    "see `journalctl -k | grep Xid`; a power cycle brings most cards back to the bus",
)
HOSTILE = (
    "/ai/<script>alert(document.domain)</script>",
    "/ai/\"><img src=x onerror=alert(1)>'&amp;",
    "/ai/two\nlines\tand\x1b[31m a colour\x00",
    "/ai/\u202egnp.exe\u2066\u200f",
    "/ai/\udcff\udc80 no UTF-8",
    "/ai/\u05d0\u05d1\u05d2/\u0627\u0644\u0639",
    "/ai/" + "x" * 10_000,
    "/ai/" + "\u0321\u0336\u033f\u0489" * 40,
    "/ai/style{}*{display:none}</style>",
    "/ai/?collect[]=&#%00%2F..//",
)


@dataclass
class Scene:
    """Probes by name, each with the outcome of its run; None: it never ends.

    unkillable: those whose run can't be ended before ``free``.
    """

    outcomes: Mapping[str, Outcome]
    absent: Mapping[str, Note] = field(default_factory=dict)
    source: str = "/etc/grid-exporter/config.yml"
    unkillable: frozenset[str] = frozenset()
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def exporter(self, clock: Callable[[], float] = boot_clock) -> Exporter:
        """An exporter whose probes have run once, as far as they end."""
        probes = tuple(self._probe(name) for name in self.outcomes)
        settings = {kind.name: None for kind in KINDS if kind.name not in self.absent}
        made = Exporter(Plan(settings, probes, self.absent, self.source), Cache(clock))
        made.start_runs()
        ending = (
            r for name, r in made.cache.runners.items() if self.outcomes[name] or name in self.unkillable
        )
        await asyncio.gather(*(runner.finished() for runner in ending))
        return made

    async def end(self, made: Exporter) -> None:
        """Ends what still runs."""
        self.free.set()
        await made.cache.stop()

    def _probe(self, name: str) -> Probe:
        timeout = Duration(0.05 if name in self.unkillable else 600)
        schedule = Schedule(ttl=Duration(60), wait=Duration(0), timeout=timeout)
        return Probe(
            name,
            schedule,
            None,
            lambda: self._run(name),
            SUMMARIES.get(name.partition(":")[0], lambda *_: ""),
        )

    async def _run(self, name: str) -> Result:
        outcome = self.outcomes[name]
        if isinstance(outcome, ProbeError):
            raise outcome
        try:
            while outcome is None:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if name in self.unkillable:
                await self.free.wait()
            raise
        return outcome


def result(text: str, *notes: Note) -> Result:
    """A run's result: gauges, from samples in Prometheus's text format."""
    families: dict[str, Metric] = {}
    for line in text_string_to_metric_families(text):
        family = families.setdefault(line.name, Metric(line.name, "Help.", "gauge"))
        family.samples += line.samples
    return Result(list(families.values()), notes)


def eventful() -> Scene:
    """A host on which every state occurs."""
    return Scene(
        {
            "host": result(HOST),
            "gpu": BROKEN,
            "disk:/ai/models": result(DISK),
            "disk:/home/ada/.cache/huggingface/hub": None,
            "disk:/mnt/nas/models": None,
            "tor": result(TOR),
            "containers": result(CONTAINERS),
            "services": result(SERVICES),
            "aide": result(AIDE, *DIFFERENCES),
            "llm:ollama": result(LLM),
        },
        {"commands": NOT_ASKED},
        unkillable=frozenset({"disk:/mnt/nas/models"}),
    )


def hostile() -> Scene:
    """Every place that a name from outside can get to holds a hostile name."""
    outcomes: dict[str, Outcome] = {}
    for number, name in enumerate(HOSTILE):
        error = ProbeError(f"{name} can't be read: {name}", f"chmod +r '{name}'")
        note = Note(f"{name} may not be read", f"see `{name}`, or:\n{name}")
        outcomes[f"disk:{name}"] = (error, result(DISK, note), result(DISK))[number % 3]
    escaped = HOSTILE[0].replace('"', '\\"')
    outcomes["tor"] = result(f'grid_tor_up 1\ngrid_tor_exit_info{{address="{escaped}"}} 1\n')
    outcomes["gpu"] = result(f'grid_gpus 1\ngrid_gpu_info{{name="{escaped}"}} 1\n')
    return Scene(outcomes, {"commands": Note(HOSTILE[1], HOSTILE[0])}, source=HOSTILE[0])


def crowded(count: int = 30) -> Scene:
    """A host with many directories."""
    return Scene({"host": result(HOST), **{f"disk:/ai/models-{n:02}": result(DISK) for n in range(count)}})


def bare() -> Scene:
    """A host on which nothing was found."""
    kinds = {kind.name: Note(f"no {kind.name} here", "see README") for kind in KINDS}
    return Scene({}, {**kinds, "tor": TOR_OFF, "gpu": NO_DRIVER}, source="what this host has")
