"""A scrape of a whole host, compared byte for byte with a file, and its families and labels.

After a change that is meant: ``GOLDEN=write python -m pytest tests/test_golden.py``, and read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.probes.tor.exit_memory import ExitMemory
from tests.box import control
from tests.box.box import make
from tests.daemon import TIMEOUT, Daemon, daemon

GOLDEN = Path(__file__).parent / "captures" / "golden.prom"
MOMENT = 1_795_400_000.0
PROBES = 9

# What another run or another machine changes.
VALUES = re.compile(
    r"^((?:process_\w+|grid_probe_(?:duration|last_run_timestamp|last_success_timestamp)_seconds"
    r"|grid_probe_runs_total|grid_exporter_config_last_reload_success_timestamp_seconds"
    r"|grid_aide_packages_timestamp_seconds"
    r"|grid_filesystem_\w+|grid_directory_size_bytes|grid_tor_exit_changed_timestamp_seconds)\b.*) \S+$",
    re.MULTILINE,
)
FOLDERS = re.compile(r'(entry_size_bytes\{entry="[^"]*/.*) \S+$', re.MULTILINE)  # a folder's own bytes differ
LABELS = re.compile(r'\b(device|fstype|mountpoint|(?<=build_info\{)version)="[^"]*"')

# Every family there is, and its labels. What stands in braces stands for each of several.
FAMILIES = {
    "grid_probe_{enabled,success,duration_seconds,ttl_seconds,stuck}": "probe",
    "grid_probe_last_{run,success}_timestamp_seconds": "probe",
    "grid_probe_runs_total": "probe outcome",
    "grid_exporter_build_info": "version",
    "grid_exporter_config_last_reload_{successful,success_timestamp_seconds}": "",
    "grid_exporter_orphaned_processes": "",
    "grid_memory_{total,available,free,buffers,cached}_bytes": "",
    "grid_swap_{total,free}_bytes": "",
    "grid_cpu_seconds_total": "mode",
    "grid_cpus": "",
    "grid_load{1,5,15}": "",
    "grid_pressure_{waiting,stalled}_seconds_total": "resource",
    "grid_boot_timestamp_seconds": "",
    "grid_gpus": "vendor",
    "grid_gpu_info": "gpu uuid vendor name driver driver_version vbios_version pci_bus_id",
    "grid_gpu_{utilization,memory_utilization,fan_speed}_ratio": "gpu uuid",
    "grid_gpu_memory_{total,used,free,reserved}_bytes": "gpu uuid",
    "grid_gpu_{temperature,memory_temperature}_celsius": "gpu uuid",
    "grid_gpu_power_{draw,limit,max_limit}_watts": "gpu uuid",
    "grid_gpu_pcie_link_{generation,width}_max": "gpu uuid",
    "grid_gpu_{performance_state,pcie_link_generation,pcie_link_width,processes}": "gpu uuid",
    "grid_gpu_clock_{hertz,max_hertz}": "gpu uuid clock",
    "grid_gpu_throttle_active": "gpu uuid reason",
    "grid_gpu_ecc_{errors,errors_lifetime}_total": "gpu uuid kind",
    "grid_gpu_process_memory_bytes": "gpu uuid process container model",
    "grid_directory_{size_bytes,scan_errors}": "path",
    "grid_directory_entry_size_bytes": "path entry",
    "grid_directory_info": "path mountpoint",
    "grid_filesystem_{size,free,avail}_bytes": "mountpoint device fstype",
    "grid_filesystem_{inodes,inodes_free,read_only}": "mountpoint device fstype",
    "grid_tor_{up,is_tor,check_duration_seconds,bootstrap_ratio,circuit_established}": "",
    "grid_tor_exit_info": "address",
    "grid_tor_exit_changed_timestamp_seconds": "",
    "grid_tor_traffic_bytes_total": "direction",
    "grid_tor_info": "version",
    "grid_container_engine_up": "",
    "grid_container_info": "container id image restart_policy compose_project compose_service",
    "grid_container_state": "container state",
    "grid_container_health": "container health",
    "grid_container_{watchtower_enabled,watchtower_monitor_only,restarts_total}": "container",
    "grid_container_{exit_code,oom_killed}": "container",
    "grid_container_{created,started}_timestamp_seconds": "container",
    "grid_container_{cpu_seconds_total,memory_bytes,memory_limit_bytes}": "container",
    "grid_watchtower_up": "",
    "grid_service_state": "name category state",
    "grid_service_{enabled,restarts_total,started_timestamp_seconds}": "name category",
    "grid_service_{memory_bytes,cpu_seconds_total}": "name category",
    "grid_systemd_failed_units": "",
    "grid_systemd_state": "state",
    "grid_systemd_timer_{last,next}_trigger_timestamp_seconds": "name",
    "grid_aide_{last_check,database,packages,accept}_timestamp_seconds": "",
    "grid_aide_{check_duration_seconds,check_success,clean,accept_success}": "",
    "grid_aide_entries": "change",
    "ups_{battery_charge_ratio,load_watts}": "command",
}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scrape of a box that has everything and stands still, once every probe has run."""
    folder = tmp_path_factory.mktemp("golden")
    box = make(folder / "box", frozen=MOMENT)
    ExitMemory(box.directory / "state/tor-exit.json").record("192.0.2.1", MOMENT)
    box.accepted(ago=86400)
    with control.served(box), daemon(folder, None, *box.flags, env=box.environment) as exporter:
        return settled(exporter).replace(str(box.directory), "/box")


def settled(exporter: Daemon) -> str:
    """A scrape once every probe has run, and the containers' names are known to the cards' probe."""
    end = time.monotonic() + TIMEOUT
    while True:
        _, text = exporter.get()
        if text.count("\ngrid_probe_success{") == PROBES and 'container="ollama",gpu=' in text:
            return text
        assert time.monotonic() < end, text
        time.sleep(0.1)


def families(text: str) -> Iterator[Metric]:
    """The families of a scrape, read strictly."""
    yield from text_string_to_metric_families(text)


def masked(text: str) -> str:
    """The scrape without what another run changes; lines that are the same then stand once."""
    text = FOLDERS.sub(r"\1 *", VALUES.sub(r"\1 *", LABELS.sub(r'\1="*"', text)))
    return "".join(dict.fromkeys(text.splitlines(keepends=True)))


def expanded() -> dict[str, set[str]]:
    """The labels of each family."""
    found = {}
    for template, labels in FAMILIES.items():
        before, _, rest = template.partition("{")
        names, _, after = rest.partition("}")
        for name in names.split(","):
            found[f"{before}{name}{after}"] = set(labels.split())
    return found


def test_whole_box_byte_for_byte(scraped: str) -> None:
    """Every name, label, help and value is as it was, in the same order."""
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(masked(scraped), "utf-8")
    assert masked(scraped).splitlines() == GOLDEN.read_text("utf-8").splitlines()


def test_every_family_has_its_labels(scraped: str) -> None:
    """What dashboards and rules build on is all there, with exactly these labels, and nothing besides."""
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families(scraped) for sample in family.samples):
        if not sample.name.startswith("process_"):
            found.setdefault(sample.name, set()).update(sample.labels)
    assert found == expanded()


def test_no_series_comes_twice(scraped: str) -> None:
    """Each family stands once, and each series in it."""
    names = [family.name for family in families(scraped)]
    assert len(names) == len(set(names))
    lines = [line.rpartition(" ")[0] for line in scraped.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines)) > 500


def test_every_family_is_described(scraped: str) -> None:
    """Each has a HELP, and a TYPE: a counter where, and only where, its name ends in _total."""
    for family in families(scraped):
        assert family.documentation, family.name
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name


@pytest.mark.real("promtool")
def test_promtool_accepts_it(scraped: str) -> None:
    """Prometheus's own linter is content."""
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=scraped, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
