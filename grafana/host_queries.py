"""PromQL about a host's processors and disks, which stand on several pages."""

from __future__ import annotations

_IDLE = 'rate(grid_cpu_seconds_total{BOX, mode=~"idle|iowait"}[$__rate_interval])'
PROCESSORS_BUSY = f"1 - sum by (instance) ({_IDLE}) / sum by (instance) (grid_cpus{{BOX}})"

_WAITED = 'grid_pressure_waiting_seconds_total{BOX, resource="io"}'
DISK_WAIT = f"max by (instance) (rate({_WAITED}[$__rate_interval]))"
