"""Directories of models: their size, each model in them, and the space on their file systems.

Every directory is a probe of its own, and a process of its own (scan.py) does all that touches its file
system: on a dead mount that hangs, and nothing else.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from functools import partial

from exporter.metrics.families import Samples, gauge
from exporter.probe import Duration, Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.disk import discovery, scan_result
from exporter.probes.disk.mounts import Mount, origin, parse_mounts
from exporter.probes.disk.scan_result import SCANNER, ScanResult
from exporter.probes.disk.summary import summarize
from exporter.system.subprocesses import run
from exporter.system.threads import run_in_thread

SIZE = gauge(
    "grid_directory_size_bytes",
    "Apparent size of all that lies in the directory, cached (a scan that counts as du -sb).",
    "path",
)
MODEL = gauge(
    "grid_directory_entry_size_bytes",
    "Apparent size of each model in the directory, those beyond the 200 largest together as (other), cached"
    " (a scan that counts as du -sb; the manifest of a model of Ollama's).",
    "path",
    "entry",
)
ERRORS = gauge(
    "grid_directory_scan_errors",
    "Parts of the directory that could not be read, cached (a scan that counts as du -sb).",
    "path",
)
INFO = gauge(
    "grid_directory_info",
    "The file system that the directory lies on, cached (/proc/self/mountinfo).",
    "path",
    "mountpoint",
)
FILE_SYSTEM = ("mountpoint", "device", "fstype")
FILE_SYSTEM_SIZE = gauge(
    "grid_filesystem_size_bytes", "Size of the file system, cached (statvfs).", *FILE_SYSTEM
)
FILE_SYSTEM_FREE = gauge(
    "grid_filesystem_free_bytes",
    "Free on the file system, with what only root may fill, cached (statvfs).",
    *FILE_SYSTEM,
)
FILE_SYSTEM_AVAIL = gauge(
    "grid_filesystem_avail_bytes", "Free on the file system for everyone, cached (statvfs).", *FILE_SYSTEM
)
FILE_SYSTEM_INODES = gauge(
    "grid_filesystem_inodes",
    "Files and directories that the file system can hold, where that is fixed, cached (statvfs).",
    *FILE_SYSTEM,
)
FILE_SYSTEM_INODES_FREE = gauge(
    "grid_filesystem_inodes_free",
    "Files and directories that could still be made on the file system, cached (statvfs).",
    *FILE_SYSTEM,
)
FILE_SYSTEM_READ_ONLY = gauge(
    "grid_filesystem_read_only",
    "Whether the file system itself is mounted read-only, cached (/proc/self/mountinfo).",
    *FILE_SYSTEM,
)


NAMED = 4  # unreadable places in a note


class Settings(Schedule, frozen=True, kw_only=True):
    """directories: absolute paths, each scanned on its own."""

    directories: tuple[str, ...]
    ttl: Duration = Duration(60)
    wait: Duration = Duration(0)
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        """Refuses what can't be scanned, or would be scanned twice."""
        super().__post_init__()
        if not self.directories:
            raise ValueError("directories must name at least one, such as [/ai/models]")
        for path in self.directories:
            if not path.startswith("/") or ".." in path.split("/"):
                raise ValueError(
                    f"directories must be absolute paths without .., such as /ai/models, got {path!r}"
                )
        paths = [tidy(path) for path in self.directories]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"directories must differ, got {path!r} twice")


def tidy(path: str) -> str:
    """The one way to write a path: ``/x`` for ``/x/`` and ``//x/.``."""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def result(directory: str, scan: ScanResult, mounts: Mapping[int, Mount]) -> Result:
    """The families and notes of a scan.

    Raises:
        ProbeError: the directory can't be scanned; the root's file system is known all the same.
    """
    samples = Samples()
    every = (*scan.on_disks, *scan.file_systems)
    known = {origin(mounts, file_system.mount): file_system for file_system in every}
    for mount, file_system in known.items():
        if mount and file_system.size:  # some of FUSE's file systems report 0 for everything
            labels = (mount.point, mount.device, mount.fstype)
            samples.add(FILE_SYSTEM_SIZE, file_system.size, *labels)
            samples.add(FILE_SYSTEM_FREE, file_system.free, *labels)
            samples.add(FILE_SYSTEM_AVAIL, file_system.avail, *labels)
            samples.add(FILE_SYSTEM_READ_ONLY, mount.read_only, *labels)
            if file_system.inodes:  # where they are made as needed (btrfs) there are none
                samples.add(FILE_SYSTEM_INODES, file_system.inodes, *labels)
                samples.add(FILE_SYSTEM_INODES_FREE, file_system.inodes_free, *labels)
    if scan.error:
        raise ProbeError(*scan_result.failure(directory, scan), families=samples.families())
    if mount := origin(mounts, scan.file_systems[0].mount):
        samples.add(INFO, 1, directory, mount.point)
    samples.add(SIZE, scan.size, directory)
    for model, size in scan.models.items():
        samples.add(MODEL, size, directory, model)
    samples.add(ERRORS, scan.errors, directory)
    return Result(samples.families(), scan_result.notes(directory, scan))


async def collect(directory: str, host: Host) -> Result:
    """Scans a directory in a process of its own, which gets what I/O and processor time are left over.

    Whose weights Ollama's blobs are is left to other probes.

    Raises:
        ProbeError: the directory can't be scanned.
    """
    ionice = shutil.which("ionice")
    idle = (ionice, "-c", "3", "-t") if ionice else ()
    output = await run(*idle, sys.executable, "-I", "-S", str(SCANNER), directory)
    if output.code != 0:
        raise ProbeError(f"the scan of {directory} ended early: {output.error_message}")
    return await run_in_thread(_read, directory, output.stdout, host)


def _read(directory: str, stdout: bytes, host: Host) -> Result:
    try:
        mountinfo = (host.proc / "self/mountinfo").read_bytes()
    except OSError as error:
        raise ProbeError(f"{host.proc}/self/mountinfo can't be read: {error.strerror}") from error
    mounts = parse_mounts(mountinfo.decode("utf-8", "surrogateescape"))
    scan = scan_result.parse(stdout)
    host.model_names[f"disk:{directory}"] = {
        digest.replace(":", "-", 1): names for digest, names in scan.blobs.items()
    }
    return result(directory, scan, mounts)


def build(settings: Settings, host: Host) -> list[Probe]:
    """One probe a directory; each keeps its metrics when another is added or taken out."""
    schedule = Schedule(ttl=settings.ttl, wait=settings.wait, timeout=settings.timeout)
    return [
        Probe(f"disk:{path}", schedule, path, partial(collect, path, host), summarize)
        for path in map(tidy, settings.directories)
    ]


async def discover(host: Host) -> Settings | Note:
    """The usual directories that are there."""
    found = await discovery.find_directories(host.root)
    if found.directories:
        return Settings(directories=found.directories)
    text = f"no directory of models that this user can see: searched {', '.join(discovery.USUAL)}"
    if found.unreadable:
        text += f"; {len(found.unreadable)} of these it can't read: {', '.join(found.unreadable[:NAMED])}"
    name = (*found.unreadable, "/ai/models")[0]
    return Note(text, f"probes:\n  disk:\n    directories: [{json.dumps(name)}]")


KIND = Kind("disk", Settings, build, discover)
