"""A Prometheus that watches three exporters, its Alertmanager with a phone, and a long-term store."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prometheus.stack import copies, programs
from prometheus.stack.program import Program, address, started
from prometheus.stack.sink import Alert, received
from tests.box import control
from tests.box.box import FakeBox, make
from tests.real.stack import hurry

TIMEOUT = 60.0  # seconds that anything may take on a busy machine
CARDS = 4
SCRATCH = "16m"  # the size of a small file system that can be filled

Series = dict[str, Any]


@dataclass(slots=True)
class Observatory:
    """What runs.

    box: the one that is broken and repaired, whose exporter is scraped each second as the job ``grid``.
    scratch: a file system of its own. exporter: the box's. store: None where it is not installed.
    sent: each alert that reached the phone, with the receiver's name, in order.
    """

    box: FakeBox
    scratch: Path
    exporter: Program
    prometheus: Program
    alertmanager: Program
    store: Program | None
    sent: list[tuple[str, Alert]] = field(default_factory=list)

    def query(self, expr: str, at: float | None = None) -> list[Series]:
        """The series that an expression gives, now or at a time."""
        return ask(self.prometheus.url, "query", query=expr, time=at or time.time())

    def window(self, expr: str, since: float, until: float) -> list[Series]:
        """The series that an expression gives over a range of time, second by second."""
        return ask(self.prometheus.url, "query_range", query=expr, start=since, end=until, step=1)

    def wait_for(self, expr: str) -> bool:
        """Waits until an expression gives something; False where it does not in time."""
        return self.wait(lambda: bool(self.query(expr)))

    def wait(self, happens: Callable[[], object], timeout: float = TIMEOUT) -> bool:
        """Waits until something happens; False where it does not in time."""
        end = time.monotonic() + timeout
        while not happens():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def was_sent(self, alert: str, status: str) -> bool:
        """Whether a message was sent that this alert is ``firing`` or ``resolved``."""
        return any(it["labels"]["alertname"] == alert and it["status"] == status for _, it in list(self.sent))

    def alerts(self) -> list[Alert]:
        """The alerts that Alertmanager has."""
        with urllib.request.urlopen(f"{self.alertmanager.url}/api/v2/alerts") as response:
            alerts: list[Alert] = json.load(response)
        return alerts

    def inhibited(self) -> set[str]:
        """The alerts that Alertmanager does not send because of others."""
        return {alert["labels"]["alertname"] for alert in self.alerts() if alert["status"]["inhibitedBy"]}


def ask(url: str, what: str, **parameters: Any) -> list[Series]:
    """Asks Prometheus, or who speaks as it does. An error of its fails the test."""
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{what}", body, timeout=TIMEOUT) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters['query']}: {error.read().decode()}") from error
    result: list[Series] = answer["data"]["result"]
    return result


@contextlib.contextmanager
def observing(
    folder: Path,
    times: int = hurry.TIMES,
    wait: str = "1s",
    flags: Sequence[str] = (programs.RESTORED,),
) -> Iterator[Observatory]:
    """Starts everything, and ends it.

    Args:
        folder: an empty directory.
        times: by how much less far the alerts look back.
        wait: how long they wait.
        flags: of Prometheus.
    """
    with contextlib.ExitStack() as block:
        broken, steady = (_box(folder / name, block) for name in ("broken", "steady"))
        scratch = block.enter_context(_mounted(folder / "scratch"))
        broken.configure(ttl="1s", directories=[scratch])
        broken.freeze(time.time())
        broken.memory(0.6)
        at = {
            name: address() for name in ("grid", "steady", "machine", "Prometheus", "Alertmanager", "store")
        }
        exporter = block.enter_context(_exporter(folder / "broken", at["grid"], broken))
        block.enter_context(_exporter(folder / "steady", at["steady"], steady))
        block.enter_context(_machine(folder, at["machine"]))
        store = _store(folder, at["store"], block)
        _configure(folder, at, store, times, wait)
        sent: list[tuple[str, Alert]] = []
        hurry.routes(copies.alertmanager(folder, block.enter_context(received(lambda *it: sent.append(it)))))
        alertmanager = block.enter_context(programs.alertmanager(folder, at["Alertmanager"]))
        prometheus = block.enter_context(programs.prometheus(folder, at["Prometheus"], flags))
        yield Observatory(broken, scratch, exporter, prometheus, alertmanager, store, sent)


def _box(folder: Path, block: contextlib.ExitStack) -> FakeBox:
    box = make(folder / "box", gpus=CARDS)
    block.enter_context(control.served(box))
    return box


@contextlib.contextmanager
def _mounted(point: Path) -> Iterator[Path]:
    """A small file system in memory, a quarter full."""
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SCRATCH}", "scratch", point], check=True)
    try:
        (point / "tokenizer.bin").write_bytes(bytes(4 << 20))
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)


def _exporter(folder: Path, where: str, box: FakeBox) -> programs.Running:
    return programs.exporter(folder, where, box.flags, box.environment)


def _machine(folder: Path, where: str) -> programs.Running:
    """An exporter of this very machine: what of it there is everywhere."""
    config = folder / "machine.yml"
    probes: dict[str, Any] = {"host": {}, "disk": {"directories": [str(copies.PROJECT / "exporter")]}}
    if shutil.which("nvidia-smi"):
        probes["gpu"] = {}
    config.write_text(yaml.safe_dump({"probes": probes}))
    return programs.exporter(folder, where, [f"--config.file={config}"])


def _store(folder: Path, where: str, block: contextlib.ExitStack) -> Program | None:
    """VictoriaMetrics, which shows what it is sent at once."""
    program = shutil.which("victoria-metrics")
    if program is None:
        return None
    argv = [
        program, f"-httpListenAddr={where}", f"-storageDataPath={folder}/store", "-search.latencyOffset=0s",
        "-search.disableCache", "-loggerLevel=WARN",
    ]  # fmt: skip
    return block.enter_context(started("store", argv, where, folder, ready="/health"))


def _configure(folder: Path, at: dict[str, str], store: Program | None, times: int, wait: str) -> None:
    """Prometheus's files: the project's own, hurried, with two more boxes that the rules don't watch."""
    path = copies.prometheus(
        folder,
        {"demo": at["grid"]},
        here=at["Prometheus"],
        alertmanager=at["Alertmanager"],
        interval="1s",
    )
    for rules in (folder / "rules").iterdir():
        hurry.rules(rules, times, wait)
    config = yaml.safe_load(path.read_text("utf-8"))
    # The machine's own disk may be as full as it likes.
    own = {"source_labels": ["__name__", "mountpoint"], "regex": "grid_filesystem_.+;/", "action": "drop"}
    config["scrape_configs"][0]["metric_relabel_configs"] = [own]
    every = {"scrape_interval": "5s", "scrape_timeout": "5s"}
    for job in ("steady", "machine"):
        config["scrape_configs"].append(
            {"job_name": job, "static_configs": [{"targets": [at[job]]}], **every}
        )
    if store:
        quickly = {"batch_send_deadline": "500ms"}
        config["remote_write"] = [{"url": f"{store.url}/api/v1/write", "queue_config": quickly}]
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
