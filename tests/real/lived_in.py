"""A booted box with something to see: Docker and Tor run, models lie about, units are in every state."""

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
def box(installed: Installation) -> Iterator[World]:
    """The box, for tests that leave it as they found it."""
    with installed.box() as made:
        _furnish(made)
        made.boot()
        _move_in(made)
        made.systemctl("restart", UNIT)
        yield made
        assert "bug in grid-exporter" not in made.journal(UNIT)


def figures(box: World) -> dict[str, float]:
    """A scrape: every series by its name and labels."""
    status, text = box.get("/metrics")
    assert status == 200, f"{status} {text}\n{box.journal(UNIT)[-4000:]}"
    return {series: float(value) for series, value in re.findall(r"^([a-z_].*) (\S+)$", text, re.MULTILINE)}


def working(box: World) -> set[str]:
    """The probes that find out what they ask for."""
    pattern = re.compile(r'grid_probe_success\{probe="(.*)"\}')
    return {
        found[1] for series, value in figures(box).items() if value and (found := pattern.fullmatch(series))
    }


def program(box: World, name: str) -> str:
    """Gives the box one of the programs beside this file; where it is there."""
    place = f"/usr/local/bin/{name}"
    box.put(place, Path(__file__).with_name(f"{name}.py").read_text(), 0o755)
    return place


@contextlib.contextmanager
def changed(box: World, *lines: str, config: str = "") -> Iterator[None]:
    """Has the exporter run with these lines in its unit and with another configuration, for a while."""
    drop_in = f"/etc/systemd/system/{UNIT}.d/test.conf"
    box.put(drop_in, "\n".join(["[Service]", *lines, ""]))
    box.put(CONFIG_FILE, config or CONFIG)
    box.systemctl("daemon-reload")
    try:
        box.systemctl("restart", UNIT)
        yield
    finally:
        (box.root / drop_in.lstrip("/")).unlink()
        box.put(CONFIG_FILE, CONFIG)
        box.systemctl("daemon-reload")
        box.systemctl("restart", UNIT)


def _furnish(box: World) -> None:
    """What is there before the box boots."""
    units = box.root / "etc/systemd/system"
    for unit in ("docker.service", "docker.socket", "tor@default.service"):
        (units / unit).unlink()
    daemon = "dockerd -H fd:// --iptables=false --ip6tables=false --bridge=none"
    box.put(
        "/etc/systemd/system/docker.service.d/test.conf",
        f"[Service]\nExecStart=\nExecStart=/usr/sbin/{daemon}\n",
    )
    box.put("/etc/tor/torrc", "DisableNetwork 1\nControlPort 9051\n")
    program(box, "sandboxed")
    box.put(CONFIG_FILE, CONFIG)
    box.put("/etc/default/grid-exporter", f'ARGS="--config.file={CONFIG_FILE}"\n')
    for state, lines in STATES.items():
        box.put(f"/etc/systemd/system/state-{state}.service", f"[Service]\n{lines}")
    box.put("/etc/systemd/system/ran.timer", "[Timer]\nOnActiveSec=0\nUnit=state-active.service\n")
    box.put("/etc/systemd/system/due.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=state-active.service\n")


def _move_in(box: World) -> None:
    """What is made in the running box."""
    for user in ("alice", "bob"):
        box.run("useradd", "--create-home", user)
        box.run("chmod", "0700", f"/home/{user}")
        box.run(
            "install", "-D", "-o", user, "-m", "600", "/etc/hostname", f"/home/{user}/models/tiny/weights"
        )
        box.run("chown", "-R", f"{user}:{user}", f"/home/{user}/models")
    box.run("setfacl", "-m", "u:grid-exporter:x", "/home/alice")
    box.run("sh", "-c", "mkdir -p /ai/models/llama && truncate -s 1M /ai/models/llama/weights")
    for name, major, minor in (("nvidia0", 195, 0), ("nvidiactl", 195, 255), ("other", 10, 229)):
        box.run("mknod", "-m", "666", f"/dev/{name}", "c", str(major), str(minor))
    box.systemctl("start", "docker.service", "tor@default.service")
    (box.root / "var/tmp/busybox.tar").write_bytes(busybox())
    box.run("docker", "import", "/var/tmp/busybox.tar", IMAGE)
    box.run("docker", "run", "--detach", "--name=web", "--network=none", IMAGE, "sleep", "1000000")
    _bring_into_states(box)


def _bring_into_states(box: World) -> None:
    running = [f"state-{state}.service" for state in ("active", "deactivating", "reloading", "restarted")]
    box.systemctl("start", *running, "ran.timer", "due.timer")
    box.try_run("systemctl", "start", "state-failed.service")
    box.systemctl("start", "--no-block", "state-activating.service")
    box.systemctl("stop", "--no-block", "state-deactivating.service")
    box.systemctl("reload", "--no-block", "state-reloading.service")
    until(lambda: box.show("state-restarted.service", "NRestarts") == "1")
