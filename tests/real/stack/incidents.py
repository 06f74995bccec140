"""What goes wrong on the watched box: something in each domain, and so much that every metric changes."""

from __future__ import annotations

import shutil

from tests.real.stack.observatory import Observatory

# The alerts of each domain that are sent.
ALERTS = {
    "exporter": ("GridProbeFailing",),
    "gpu": ("GridGpuHot", "GridGpuEccUncorrected", "GridGpuGone", "GridGpuThrottled"),
    "host": ("GridMemoryNearlyOut",),
    "disk": ("GridDirectoryGrew", "GridDirectoryUnreadable", "GridDiskFull"),
    "tor": ("GridTorDown",),
    "containers": ("GridContainerUnhealthy", "GridContainerRestarting", "GridContainerOomKilled"),
    "services": ("GridServiceFailed", "GridServiceInactive"),
    "aide": ("GridAideFindings",),
}
GROWN = ("Qwen3-235B-00001.gguf", "Qwen3-235B-00002.gguf")
DAMAGED = "ollama/manifests/registry.ollama.ai/library/qwen3/8b"
HIDDEN = ".8b"  # which is no model's tag
LEFT = 64 * 1024  # bytes, of the small file system


def begin(seen: Observatory) -> None:
    """Breaks the box in every domain."""
    box = seen.box
    box.fault("ups", "exit 1")
    for card, fault in enumerate(("hot", "ecc", "gone", "throttled")):
        box.gpu(card, fault)
    box.memory(0.02)
    box.pressure("memory", 20)
    box.pressure("io", 3)
    box.load(40, 90)
    _disk(seen)
    _containers(seen)
    box.service("jupyter.service", "failed", NRestarts="5")
    box.service("caddy.service", "inactive")
    box.overdue("backup.timer")
    box.remove_service("logrotate.timer")
    box.aide(added=2, removed=1, changed=3, ago=60, took=900)
    box.tor("not-tor", ["192.0.2.7"])
    seen.wait_for('grid_tor_is_tor{job="grid"} == 0')
    box.tor("broken")
    seen.wait_for('grid_probe_success{job="grid",probe="tor"} == 0')
    box.tor("down")


def _disk(seen: Observatory) -> None:
    """A model grows, another is removed, a third is damaged, and a file system fills up."""
    for name in GROWN:
        seen.box.model(name, 115e9)
    (seen.box.directory / "models/flux1-dev-q8_0.gguf").unlink()
    manifest = seen.box.directory / DAMAGED
    manifest.rename(manifest.with_name(HIDDEN))
    manifest.write_text("damaged")
    free = shutil.disk_usage(seen.scratch).free
    (seen.scratch / "download").write_bytes(bytes(free - LEFT))


def _containers(seen: Observatory) -> None:
    box = seen.box
    box.container("vllm", health="unhealthy")
    box.container("open-webui", restarts=5, started=box.now())
    box.container("whisper", status="exited", exit_code=137, oom=True)
    box.container("postgres", watched=False)
    box.remove_container("redis")


def end(seen: Observatory) -> None:
    """Repairs everything."""
    box = seen.box
    box.repair()
    for card in range(4):
        box.gpu(card)
    box.memory(0.6)
    box.tor()
    for name in GROWN:
        box.model(name, 1e9)
    manifest = box.directory / DAMAGED
    manifest.with_name(HIDDEN).replace(manifest)
    (seen.scratch / "download").unlink()
    box.container("vllm", health="healthy")
    box.container("whisper", status="running", exit_code=0, oom=False)
    box.container("postgres", watched=True)
    box.reset_services()
    box.aide(ago=30)
