"""An exporter on a fake host, with short times, and its probes' metrics."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.box.box import TOOLS, FakeBox, make
from tests.box.files import link, put
from tests.daemon import Daemon, daemon
from tests.faults.vitals import scraped

TIMEOUT = 100.0  # seconds that anything may take on a busy machine
OWN = ("grid_probe_", "grid_exporter_", "process_")
TOOLLESS = ("grid_memory_", "grid_cpu", "grid_load", "grid_aide_")  # what is read without a tool
# A fault is as the box's faults.py describes it, or "lie".
FAULTS = (
    *("hang", "deaf", "slow 0.3", "exit 3", "error 1 out of order", "warn beware", "empty", "truncate"),
    *("garbage", "flood", "fork", "daemon", "bomb", "missing", "denied", "lie"),
)
# A tool that lies: something that its probe could take for an answer, and must not.
LIES = {
    "nvidia-smi": "print 0 index, uuid\n0\n1e999, GPU-1, 7",
    "docker": f"print 0 {'f' * 64}",
    "systemctl": "print 0 Id=a.service\nLoadState=loaded\nActiveState=active\nSystemState=",
    "curl": 'print 0 {"IsTor": "yes", "IP": "no"}\n200 1e999',
    "ionice": 'print 0 {"file_systems":[{"mount":1,"size":-5,"free":"x","avail":1}],"size":1}',
    "ups": "print 0 # TYPE up gauge\nup 0\ngrid_memory_total_bytes 1",
}
MOVING = (
    "grid_filesystem_free_bytes",
    "grid_filesystem_avail_bytes",
    "grid_filesystem_inodes_free",
    "grid_pressure_",
)


@dataclass
class Boxed:
    """An exporter and its box. probes: the probe of each tool."""

    exporter: Daemon
    box: FakeBox

    @property
    def probes(self) -> dict[str, str]:
        """The probe that each tool works for."""
        scan = f"disk:{self.box.directory}/models"
        names = ("gpu", "containers", "services", "tor", scan, "command:ups")
        return dict(zip(TOOLS, names, strict=True))

    def scrape(self) -> dict[str, float]:
        """The series of a scrape, which must be whole and valid."""
        return scraped(self.exporter)

    def values(self) -> dict[str, float]:
        """The scrape's values, as far as nothing else on this machine changes them."""
        return {name: it for name, it in self.scrape().items() if not name.startswith((*OWN, *MOVING))}

    def until(self, done: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Scrapes until this is so."""
        end = time.monotonic() + TIMEOUT
        while not done(series := self.scrape()):
            assert time.monotonic() < end, self.exporter.log.read_text()
            time.sleep(0.1)
        return series

    def fault(self, tool: str, fault: str) -> None:
        """Switches one of the FAULTS on."""
        self.box.fault(tool, LIES[tool] if fault == "lie" else fault)

    def repair(self, healthy: dict[str, float]) -> None:
        """Repairs every tool and waits until the values are what they were."""
        self.box.repair()
        end = time.monotonic() + TIMEOUT
        while (now := self.values()) != healthy:
            assert time.monotonic() < end, dict(now.items() ^ healthy.items())
            time.sleep(0.1)
        self.until_run(0.0, dict.fromkeys(self.probes.values(), True))

    def until_all_run(self, since: float) -> None:
        """Scrapes until every probe has ended a run begun after this Unix time, and well."""
        names = [it for it in self.scrape() if it.startswith("grid_probe_success{")]
        self.until_run(since, dict.fromkeys((it.split('"')[1] for it in names), True))

    def until_run(self, since: float, wanted: dict[str, bool]) -> dict[str, float]:
        """Scrapes until each of these probes has ended a run begun after this Unix time, and as wanted."""
        return self.until(
            lambda series: all(
                series.get(f'grid_probe_last_run_timestamp_seconds{{probe="{name}"}}', 0) > since
                and series[f'grid_probe_success{{probe="{name}"}}'] == success
                for name, success in wanted.items()
            )
        )


@contextlib.contextmanager
def boxed(directory: Path, *, timeout: str = "5s", env: Mapping[str, str] | None = None) -> Iterator[Boxed]:
    """An exporter on a new box whose time stands still; no other tool than the box's is on its PATH."""
    box = make(directory / "box")
    box.freeze(time.time())
    hurry(box, timeout)
    link(box.directory / "bin/nice", Path(shutil.which("nice") or ""))
    environment = {**box.environment, "PATH": f"{box.directory}/bin", **(env or {})}
    with daemon(directory, None, *box.flags, env=environment) as exporter:
        host = Boxed(exporter, box)
        for _ in range(2):  # the cards' first run doesn't know containers by name yet
            host.until_all_run(time.time())
        yield host


def hurry(box: FakeBox, timeout: str) -> None:
    """Has every probe run each second, and scans step behind nobody: on a busy machine they would be late."""
    put(box.directory / "hurry", "")
    path = box.directory / "config.yml"
    configuration = yaml.safe_load(path.read_text())
    for settings in configuration["probes"].values():
        for one in settings if isinstance(settings, list) else [settings]:
            one.update(ttl="1s", wait="1s", timeout=timeout)
    put(path, yaml.safe_dump(configuration))
