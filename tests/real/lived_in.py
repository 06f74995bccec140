"""A booted host with something to see: Docker and Tor run, models lie about, units are in every state."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.dockerd import IMAGE, busybox
from tests.real.installation import Installation
from tests.real.systemd_world import World, until

UNIT = "grid-exporter.service"
CONFIG_FILE = "/etc/grid-exporter/config.yml"
CONFIG = """\
probes:
  host: {}
  disk: {directories: [/ai/models, /home/alice/models, /home/bob/models], ttl: 1s, wait: 5s}
  tor: {control: "127.0.0.1:9051", ttl: 1s, wait: 5s}
  containers: {ttl: 1s}
  services:
    ttl: 1s
    categories: {states: [state-inactive, nosuch, "state-*.service"], network: [tor@default]}
  aide: {}
  commands:
    - {name: sandbox, argv: [/usr/local/bin/sandboxed], ttl: 1s, wait: 5s}
"""

SLEEP = "ExecStart=/bin/sleep infinity\n"
STATES = {
    "active": SLEEP,
    "inactive": SLEEP,
    "failed": "ExecStart=/bin/false\n",
    "activating": f"Type=notify\nTimeoutStartSec=infinity\n{SLEEP}",
    "deactivating": f"{SLEEP}ExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity\n",
    "reloading": f"{SLEEP}ExecReload=/bin/sleep infinity\n",
    "restarted": "Restart=always\nRestartSec=0\nExecStart=/bin/sh -c 'mkdir /run/once && exit 1; sleep 99'\n",
}


@pytest.fixture(scope="session")
def host(installed: Installation) -> Iterator[World]:
    """The host, for tests that leave it as they found it."""
    with installed.box() as made:
        _furnish(made)
        made.boot()
        _move_in(made)
        made.systemctl("restart", UNIT)
        yield made
        assert "bug in grid-exporter" not in made.journal(UNIT)


def scrape(host: World) -> dict[str, float]:
    """A scrape: every series by its name and labels."""
    status, text = host.get("/metrics")
    assert status == 200, f"{status} {text}\n{host.journal(UNIT)[-4000:]}"
    return {series: float(value) for series, value in re.findall(r"^([a-z_].*) (\S+)$", text, re.MULTILINE)}


def working(host: World) -> set[str]:
    """The probes that find out what they ask for."""
    pattern = re.compile(r'grid_probe_success\{probe="(.*)"\}')
    return {
        found[1] for series, value in scrape(host).items() if value and (found := pattern.fullmatch(series))
    }


def program(host: World, name: str) -> str:
    """Gives the box one of the programs beside this file; where it is there."""
    place = f"/usr/local/bin/{name}"
    host.put(place, Path(__file__).with_name(f"{name}.py").read_text(), 0o755)
    return place


@contextlib.contextmanager
def changed(host: World, *lines: str, config: str = "") -> Iterator[None]:
    """Has the exporter run with these lines in its unit and with another configuration, for a while."""
    drop_in = f"/etc/systemd/system/{UNIT}.d/test.conf"
    host.put(drop_in, "\n".join(["[Service]", *lines, ""]))
    host.put(CONFIG_FILE, config or CONFIG)
    host.systemctl("daemon-reload")
    try:
        host.systemctl("restart", UNIT)
        yield
    finally:
        (host.root / drop_in.lstrip("/")).unlink()
        host.put(CONFIG_FILE, CONFIG)
        host.systemctl("daemon-reload")
        host.systemctl("restart", UNIT)


def _furnish(host: World) -> None:
    """What is there before the box boots."""
    units = host.root / "etc/systemd/system"
    for unit in ("docker.service", "docker.socket", "tor@default.service"):
        (units / unit).unlink()
    daemon = "dockerd -H fd:// --iptables=false --ip6tables=false --bridge=none"
    host.put(
        "/etc/systemd/system/docker.service.d/test.conf",
        f"[Service]\nExecStart=\nExecStart=/usr/sbin/{daemon}\n",
    )
    host.put("/etc/tor/torrc", "DisableNetwork 1\nControlPort 9051\n")
    program(host, "sandboxed")
    host.put(CONFIG_FILE, CONFIG)
    host.put("/etc/default/grid-exporter", f'ARGS="--config.file={CONFIG_FILE}"\n')
    for state, lines in STATES.items():
        host.put(f"/etc/systemd/system/state-{state}.service", f"[Service]\n{lines}")
    host.put("/etc/systemd/system/ran.timer", "[Timer]\nOnActiveSec=0\nUnit=state-active.service\n")
    host.put("/etc/systemd/system/due.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=state-active.service\n")


def _move_in(host: World) -> None:
    """What is made in the running box."""
    for user in ("alice", "bob"):
        host.run("useradd", "--create-home", user)
        host.run("chmod", "0700", f"/home/{user}")
        host.run(
            "install", "-D", "-o", user, "-m", "600", "/etc/hostname", f"/home/{user}/models/tiny/weights"
        )
        host.run("chown", "-R", f"{user}:{user}", f"/home/{user}/models")
    host.run("setfacl", "-m", "u:grid-exporter:x", "/home/alice")
    host.run("sh", "-c", "mkdir -p /ai/models/llama && truncate -s 1M /ai/models/llama/weights")
    for name, major, minor in (("nvidia0", 195, 0), ("nvidiactl", 195, 255), ("other", 10, 229)):
        host.run("mknod", "-m", "666", f"/dev/{name}", "c", str(major), str(minor))
    host.systemctl("start", "docker.service", "tor@default.service")
    (host.root / "var/tmp/busybox.tar").write_bytes(busybox())
    host.run("docker", "import", "/var/tmp/busybox.tar", IMAGE)
    host.run("docker", "run", "--detach", "--name=web", "--network=none", IMAGE, "sleep", "1000000")
    _bring_into_states(host)


def _bring_into_states(host: World) -> None:
    running = [f"state-{state}.service" for state in ("active", "deactivating", "reloading", "restarted")]
    host.systemctl("start", *running, "ran.timer", "due.timer")
    host.try_run("systemctl", "start", "state-failed.service")
    host.systemctl("start", "--no-block", "state-activating.service")
    host.systemctl("stop", "--no-block", "state-deactivating.service")
    host.systemctl("reload", "--no-block", "state-reloading.service")
    until(lambda: host.show("state-restarted.service", "NRestarts") == "1")
