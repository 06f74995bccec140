"""Which services a box has, where no configuration names any."""

from __future__ import annotations

from exporter.probe import ProbeError
from exporter.probes.services import systemctl
from exporter.probes.services.units import PATTERN, full_name

# What such a box is likely to run. Without a configuration, those of them that it has are shown.
WELL_KNOWN = {
    "ai": ["ollama", "vllm", "vllm@*.service", "llama-server", "open-webui", "comfyui"],
    "containers": ["docker", "containerd"],
    "network": ["ssh", "sshd", "tor@default", "nginx", "caddy", "tailscaled"],
    "monitoring": ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "grafana-server"],
}


async def installed() -> dict[str, list[str]]:
    """The well-known services that are installed; none where systemctl fails: the probe will report why."""
    names = [full_name(name) for names in WELL_KNOWN.values() for name in names]
    try:
        units = systemctl.parse_show(await systemctl.show(("Id", "Names", "LoadState"), names))
    except ProbeError:
        return {}
    installed = {
        name for unit in units if unit.get("LoadState") == "loaded" for name in systemctl.names(unit)
    }
    kept = {
        c: [n for n in ns if PATTERN.search(n) or full_name(n) in installed] for c, ns in WELL_KNOWN.items()
    }
    return {category: names for category, names in kept.items() if names}
