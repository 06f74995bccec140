"""AIDE: the result of root's last check, and of the last attempt to accept its candidate.

The exporter runs no AIDE and reads no database. Root's commands (`grid-exporter aide check` and `accept`)
write a small summary; this reads it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from os.path import lexists  # Path.exists raises where a folder above is closed
from pathlib import Path

from exporter.aide.files import Paths
from exporter.aide.state import State, load_state
from exporter.aide.summary import START
from exporter.metrics import query
from exporter.metrics.families import Samples, gauge
from exporter.probe import Duration, Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.system import files
from exporter.system.threads import run_in_thread

LAST_CHECK = gauge(
    "grid_aide_last_check_timestamp_seconds",
    "When the last AIDE check ended, whatever it came to, Unix time"
    " (summary of `grid-exporter aide check`, cached).",
)
DURATION = gauge(
    "grid_aide_check_duration_seconds", "How long the last AIDE check took (its summary, cached)."
)
SUCCESS = gauge(
    "grid_aide_check_success",
    "Whether the last AIDE check could be done and its database was whole, 1 or 0 (its summary, cached).",
)
CLEAN = gauge(
    "grid_aide_clean",
    "Whether the last AIDE check found no difference, or what it found was accepted since, 1 or 0;"
    " absent when it failed (its summary, cached).",
)
ENTRIES = gauge(
    "grid_aide_entries",
    "Files that the last AIDE check found added, removed or changed, none once they are accepted;"
    " absent when it failed (its summary, cached).",
    "change",
)
DATABASE = gauge(
    "grid_aide_database_timestamp_seconds",
    "When the active AIDE database was made: its mtime at the last check or accept, Unix time"
    " (its summary, cached).",
)
ACCEPT_SUCCESS = gauge(
    "grid_aide_accept_success",
    "Whether the last attempt to accept an AIDE database succeeded, 1 or 0 (its outcome, cached).",
)
ACCEPTED = gauge(
    "grid_aide_accept_timestamp_seconds",
    "When the last attempt to accept an AIDE database ended, Unix time (its outcome, cached).",
)

PACKAGES = gauge(
    "grid_aide_packages_timestamp_seconds",
    "When packages were last installed, upgraded or removed: the newest mtime of the databases of dpkg, RPM"
    " and pacman, Unix time; absent where none is readable.",
)

_PACKAGES = (
    "var/lib/dpkg/status",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/pacman/local",
)
_TIMER = "dailyaidecheck.timer"
_DEFAULTS_LIMIT = 64 * 1024
_SHOW = "sudo grid-exporter aide show"


class Settings(Schedule, frozen=True):
    """Schedule, and where the summary is.

    state: the directory to which the checks write their summary. action_token_file: a file with the token for
    reviewing over HTTP, and for requesting to accept; without it there are no such pages.
    """

    ttl: Duration = Duration(60)
    wait: Duration = Duration(1)
    timeout: Duration = Duration(5)
    state: str = str(Paths().state)
    action_token_file: str | None = None

    def __post_init__(self) -> None:
        """Refuses paths that the commands would refuse too."""
        super().__post_init__()
        Paths(Path(self.state))
        if self.action_token_file is not None and not self.action_token_file.startswith("/"):
            raise ValueError(f"action_token_file must be an absolute path, got {self.action_token_file!r}")


def samples(state: State) -> Samples:
    """The metrics of this state; none before the first check."""
    summary, found = state.summary, Samples()
    if summary is None:
        return found
    found.add(LAST_CHECK, summary.ended)
    if summary.ended > summary.started:  # a clock may be set back, and who was killed left no end
        found.add(DURATION, summary.ended - summary.started)
    found.add(SUCCESS, summary.success)
    if summary.success:
        found.add(CLEAN, summary.settled)
        for change in ("added", "removed", "changed"):
            found.add(ENTRIES, 0 if summary.settled else getattr(summary, change), change)
    found.add(DATABASE, summary.database_timestamp)
    if state.outcome:
        found.add(ACCEPT_SUCCESS, state.outcome.success)
        found.add(ACCEPTED, state.outcome.timestamp)
    return found


def packages_changed(root: Path) -> float | None:
    """When the host's packages last changed, Unix time; None where that can't be read."""
    changed = []
    for path in _PACKAGES:
        with suppress(OSError):
            changed.append((root / path).stat().st_mtime)
    return max(changed, default=None)


def notes(state: State) -> Iterator[Note]:
    """Warnings of a check that is missing or failed, of findings, of a refused accept."""
    if state.summary is None:
        yield Note("no AIDE check has run yet", START)
    elif not state.summary.success:
        yield Note(f"the last AIDE check failed: {state.summary.reason}", state.summary.hint)
    elif not state.summary.settled:
        yield Note("AIDE found differences", _SHOW)
    if state.outcome and not state.outcome.success:
        yield Note(f"the last attempt to accept failed: {state.outcome.reason}", _SHOW)


def debian_runs_too(root: Path) -> Note | None:
    """A warning where Debian's own daily check is enabled: the same work twice a day, and mail of its own.

    What may not be read (a hardened box closes /etc/cron.daily) is taken as absent.
    """
    etc = root / "etc"
    timer = lexists(etc / "systemd/system/timers.target.wants" / _TIMER)
    cron = lexists(etc / "cron.daily/aide") and not lexists(root / "lib/systemd/system" / _TIMER)
    if not (timer or cron) or _is_switched_off(etc / "default/aide"):
        return None
    hint = f"sudo systemctl disable --now {_TIMER}" if timer else "set CRON_DAILY_RUN=no in /etc/default/aide"
    return Note("Debian's own daily AIDE check runs beside this one", hint)


def _is_switched_off(defaults: Path) -> bool:
    """Whether Debian's own settings say CRON_DAILY_RUN=no; later lines overrule earlier ones."""
    try:
        lines = files.read(defaults, _DEFAULTS_LIMIT).decode("utf-8", "replace").split("\n")
    except OSError:
        return False
    settings = dict(line.strip().partition("=")[::2] for line in lines)
    return settings.get("CRON_DAILY_RUN", "").split("#")[0].strip(" \t\r\"'") == "no"


def read(paths: Paths, host: Host) -> Result:
    """One run: the state, from the files that the commands wrote.

    Raises:
        ProbeError: one of them can't be read.
    """
    try:
        state = load_state(paths, host.proc)
    except PermissionError as error:
        hint = f"sudo chgrp -R grid-exporter {paths.state}, and see that the exporter runs as that group"
        raise ProbeError(f"{error.filename} may not be read", hint) from error
    except OSError as error:
        raise ProbeError(f"{error.filename}: {error.strerror}", START) from error
    except ValueError as error:
        raise ProbeError(f"the result of the last AIDE check is invalid: {error}", START) from error
    beside = debian_runs_too(host.root)
    found = samples(state)
    if state.summary is not None:
        found.add(PACKAGES, packages_changed(host.root))
    return Result(found.families(), (*notes(state), *([beside] if beside else [])))


def summarize(families: query.Families, now: float) -> str:
    """The families in short, for the status page; ``now`` is Unix time."""
    counts = {
        sample.labels["change"]: sample.value for sample in query.samples(families, "grid_aide_entries")
    }
    differences = query.join(*(f"{count:.0f} {change}" for change, count in counts.items() if count))
    failed = query.value(families, "grid_aide_check_success") == 0
    clean = query.value(families, "grid_aide_clean") == 1
    checked = query.ago(families, "grid_aide_last_check_timestamp_seconds", now)
    accepted = query.ago(families, "grid_aide_accept_timestamp_seconds", now)
    refused = query.value(families, "grid_aide_accept_success") == 0
    return query.join(
        "the last check failed" if failed else "clean" if clean else differences,
        f"checked {checked}" if checked else None,
        f"{'an accept failed' if refused else 'accepted'} {accepted}" if accepted else None,
    )


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe."""
    paths = Paths(host.root / settings.state.lstrip("/"))

    async def run() -> Result:
        return await run_in_thread(read, paths, host)

    return [Probe("aide", settings, settings, run, summarize)]


async def discover(host: Host) -> Settings | Note:
    """AIDE where its checks are set up, whether or not one has run: the first must not wait for a restart."""
    settings = Settings()
    state = host.root / settings.state.lstrip("/")
    if not state.is_dir():
        return Note("AIDE's daily checks are not set up", "sudo make install")
    if not os.access(state, os.R_OK | os.X_OK):
        return Note(f"this user may not read {state}", "sudo -u grid-exporter grid-exporter doctor")
    if shutil.which("aide") or (state / "summary.json").exists():
        return settings
    return Note("no aide on PATH, and no summary of a check", f"install aide, then: {START}")


KIND = Kind("aide", Settings, build, discover)
