"""The units of a fake box, as systemctl shows them (systemd.py is the tool)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.box.files import put
from tests.box.systemd import moment_text

MIB = 1 << 20
DAY = 86400


class Service(NamedTuple):
    """A service. rate: processor seconds a second. memory: bytes, the most of it."""

    name: str
    rate: float
    memory: float
    enabled: bool = True


CATEGORIES = {
    "ai": ["jupyter.service", "rag-index@*.service", "llama-server.service"],
    "containers": ["docker.service", "containerd.service"],
    "network": ["tor@default.service", "caddy.service", "ssh.service"],
    "monitoring": ["prometheus.service", "grafana-server.service"],
}
SERVICES = (
    Service("jupyter.service", 0.8, 3000 * MIB),
    Service("rag-index@docs.service", 1.1, 5000 * MIB),
    Service("rag-index@mail.service", 0.6, 4200 * MIB),
    Service("docker.service", 0.05, 180 * MIB),
    Service("containerd.service", 0.04, 90 * MIB),
    Service("tor@default.service", 0.02, 70 * MIB),
    Service("caddy.service", 0.01, 40 * MIB),
    Service("ssh.service", 0.001, 12 * MIB),
    Service("prometheus.service", 0.03, 400 * MIB),
    Service("grafana-server.service", 0.02, 220 * MIB),
)
# A timer, how often it elapses, and when: seconds.
TIMERS = {
    "grid-aide-check.timer": (DAY, 3 * 3600),
    "apt-daily-upgrade.timer": (DAY, 6 * 3600),
    "backup.timer": (3600, 600),
    "logrotate.timer": (DAY, 0),
    "model-sync.timer": (900, 120),
}


def born(box: Path, moment: float) -> None:
    """Puts the units into the box, all well; llama-server is installed and not in use."""
    for number, service in enumerate(SERVICES):
        since = moment - DAY * (1 + number % 6) - 1000 * number
        _save(box, _service(service.name, "active", since, enabled=True) | _moving(service, since))
    _save(box, _service("llama-server.service", "inactive", 0, enabled=False))
    for name, (every, at) in TIMERS.items():
        about = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        first = moment // DAY * DAY - DAY + at
        _save(box, {"Id": name, "Names": name, **about, "X-Every": f"{every}", "X-Since": f"{first:.0f}"})


def alter(box: Path, name: str, **changes: str) -> None:
    """Changes properties of a unit."""
    _save(box, _load(box, name) | changes)


def start(box: Path, name: str, moment: float) -> None:
    """Starts a unit, which has used nothing yet."""
    times = {"ActiveEnterTimestamp": moment_text(moment), "X-Since": f"{moment:.0f}"}
    _save(box, _load(box, name) | {"ActiveState": "active"} | times)


def overdue(box: Path, name: str, moment: float) -> None:
    """Has a timer fail: it elapsed two hours before ``moment``, and should have one hour before it."""
    timer = _load(box, name)
    timer.pop("X-Every")
    times = {"LastTriggerUSec": moment - 7200, "NextElapseUSecRealtime": moment - 3600}
    _save(box, timer | {key: moment_text(when) for key, when in times.items()})


def _load(box: Path, name: str) -> dict[str, str]:
    lines = (box / "systemd" / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def _service(name: str, state: str, since: float, *, enabled: bool) -> dict[str, str]:
    """A service's properties. since: Unix time of its last start, 0 where it was never started."""
    return {
        "Id": name,
        "Names": name,
        "LoadState": "loaded",
        "ActiveState": state,
        "UnitFileState": "enabled" if enabled else "disabled",
        "NRestarts": "0",
        "ActiveEnterTimestamp": moment_text(since) if since else "",
        "MemoryCurrent": "[not set]",
        "CPUUsageNSec": "[not set]",
    }


def _moving(service: Service, since: float) -> dict[str, str]:
    return {"X-Rate": str(service.rate), "X-Memory": f"{service.memory:.0f}", "X-Since": f"{since:.0f}"}


def _save(box: Path, unit: dict[str, str]) -> None:
    put(box / "systemd" / unit["Id"], "".join(f"{name}={value}\n" for name, value in unit.items()))
