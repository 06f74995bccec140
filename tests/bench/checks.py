"""What the old dashboard asked the box for each view: six checks, every one a tool or two."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

Check = Callable[[], object]


def checks(box: Path) -> Mapping[str, Check]:
    """The checks of a fake box, by name."""
    return {
        "gpu": gpu,
        "containers": containers,
        "services": services,
        "disk": lambda: disk(box / "models"),
        "tor": tor,
        "aide": lambda: json.loads((box / "aide/summary.json").read_text()),
    }


def gpu() -> object:
    """The cards' use and temperature."""
    fields = "index,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"
    rows = _ask("nvidia-smi", f"--query-gpu={fields}", "--format=csv,nounits").splitlines()[1:]
    return [dict(zip(fields.split(","), row.split(", "), strict=True)) for row in rows]


def containers() -> object:
    """Each container's state."""
    ids = _ask("docker", "ps", "--all", "--no-trunc", "--quiet").split()
    output = json.loads(_ask("docker", "inspect", "--type", "container", *ids))
    return {container["Name"].lstrip("/"): container["State"]["Status"] for container in output}


def services() -> object:
    """Each service's state."""
    output = _ask("systemctl", "show", "-p", "Id,ActiveState", "--", "*.service")
    return [dict(line.split("=", 1) for line in unit.splitlines()) for unit in output.split("\n\n")]


def disk(directory: Path) -> object:
    """What the models take, by a polite du."""
    return int(_ask("ionice", "-c", "3", "-t", "/usr/bin/du", "-sb", str(directory)).split()[0])


def tor() -> object:
    """Whether requests go through Tor."""
    url = "https://check.torproject.org/api/ip"
    output = _ask("curl", "--silent", "--proxy", "socks5h://127.0.0.1:9050", url)
    return json.loads(output.splitlines()[0])


def _ask(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
