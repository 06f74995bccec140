"""Every alert, by the part of the box that it is about; monitoring is Prometheus and Alertmanager."""

from __future__ import annotations

from prometheus.alert import Alert
from prometheus.alerts import aide, containers, disk, exporter, gpu, host, llm, monitoring, services, tor

DOMAINS = {
    "exporter": exporter.alerts,
    "gpu": gpu.alerts,
    "llm": llm.alerts,
    "host": host.alerts,
    "disk": disk.alerts,
    "tor": tor.alerts,
    "containers": containers.alerts,
    "services": services.alerts,
    "aide": aide.alerts,
    "monitoring": monitoring.alerts,
}


def alerts() -> dict[str, list[Alert]]:
    """Each domain's alerts, built with the thresholds as they are now."""
    return {domain: build() for domain, build in DOMAINS.items()}
