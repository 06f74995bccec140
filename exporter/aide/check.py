"""The check: AIDE compares, and what it recorded becomes the candidate that a person may accept.

A check that is not beyond doubt is a failed one: it has no findings, is not clean and offers no candidate.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from msgspec import structs

from exporter.aide import aide_report
from exporter.aide.database import digest, inspect, load_active, trust
from exporter.aide.files import Paths
from exporter.aide.lock import exclusive
from exporter.aide.output import describe, print_error, print_line
from exporter.aide.summary import START, Change, Summary, save
from exporter.probe import ProbeError
from exporter.system import files, subprocesses

CONFIGS = (Path("/etc/aide/aide.conf"), Path("/etc/aide.conf"))  # Debian's, Fedora's
TIMEOUT = 12 * 3600.0  # seconds; a large file system at idle priority takes hours
LISTED = 300  # findings of each kind; the rest is counted, and complete in AIDE's own report

_STDERR_LIMIT = 16 * 1024 * 1024
_REPORT_LIMIT = 256 * 1024 * 1024
_EXIT_STATUSES = range(8)  # a sum of 1, 2 and 4 for added, removed and changed; all others are errors
_DATABASE_IN = "'database_in' option already set to '"
_VERSION = re.compile(r"aide (\d{1,4})\.(\d{1,4})", re.IGNORECASE | re.ASCII)
_OLDEST = (0, 18)  # the first version with a JSON report

# AIDE can write much on standard error: warnings on a busy box, and a notice for every rule that it could not
# compile where memory may not be executable. Its standard output is not used.
_QUIETLY = 'exec "$@" 2>"$0" >/dev/null'

# Whatever aide.conf configures for reports, this one is complete. It comes last, so that the owner's
# report_ignore_* options apply to it.
_AFTER = """\
report_quiet=false
report_append=false
report_grouped=true
report_summarize_changes=true
report_format=json
report_level=added_removed_attributes
report_url=file:{work}/report.json
"""
# AIDE takes the first of several values, and the first rule that matches.
_BEFORE = """\
database_out=file:{work}/aide.db
{left_out}
"""


def check(paths: Paths, config: Path | None = None, *, timeout: float = TIMEOUT) -> int:
    """Runs a check and writes its summary, the candidate and AIDE's own report.

    SIGTERM and SIGINT end it and its AIDE; the summary is that of a failed check. To be called from the main
    thread.

    Args:
        paths: the files of the checks.
        config: AIDE's configuration; None looks where distributions put it.
        timeout: seconds after which AIDE is killed.

    Returns:
        The exit status: 0 for a check that succeeded, whatever it found; 1 for one that failed, or could not
        start.
    """
    try:
        with exclusive(paths, "check"):
            summary = _summarize(paths, config, timeout)
            save(paths.summary, summary)
            _discard(paths, keep=summary.id)
    except (ProbeError, OSError, ValueError) as error:
        return print_error("not checked", error)
    if not summary.success:
        return print_error("the check failed", ProbeError(summary.reason, summary.hint))
    if summary.clean:
        return print_line(f"clean: {summary.total} entries, no difference")
    counts = f"{summary.added} added, {summary.removed} removed, {summary.changed} changed"
    return print_line(f"{counts}; to review and accept: sudo grid-exporter aide show")


def _summarize(paths: Paths, config: Path | None, timeout: float) -> Summary:
    """Runs the check; returns its summary, however it ends."""
    known: dict[str, Any] = {"started": time.time()}

    async def within_time() -> dict[str, Any]:
        task = asyncio.ensure_future(_examine(paths, config, known))
        for number in (signal.SIGTERM, signal.SIGINT):  # AIDE ignores the first, and doesn't get the second
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with asyncio.timeout(timeout):
            return await task

    try:
        return Summary(success=True, **asyncio.run(within_time()), ended=time.time(), **known)
    except TimeoutError:
        why, hint = f"it was ended after {timeout:g} s", "look for a file system that hangs"
    except asyncio.CancelledError:
        why, hint = "it was stopped before it ended", START
    except (ProbeError, OSError, ValueError) as error:
        why, hint = describe(error), getattr(error, "hint", "")
    return Summary(success=False, ended=time.time(), reason=why, hint=hint, **known)


async def _examine(paths: Paths, config: Path | None, known: dict[str, Any]) -> dict[str, Any]:
    """Has AIDE compare; returns the fields of the summary of a check that succeeded.

    Args:
        paths: the files of the checks.
        config: AIDE's configuration, where it is not in one of the usual places.
        known: the fields of the summary however this ends, filled as they become known.

    Raises:
        ProbeError: the check failed.
        OSError: a file could not be read or written.
    """
    config = config or _config()
    shutil.rmtree(paths.work, ignore_errors=True)
    paths.work.mkdir(mode=0o700)
    await _refuse_old_version()
    path = (await _database_in(paths, config)).resolve()
    database = load_active(paths, path)
    known.update(database=str(path), database_sha256=database.sha256, database_timestamp=database.modified)
    left_out = "\n".join(f"!{name.replace('.', '[.]')}(/.*)?$" for name in paths.left_out)
    before, after = (text.format(work=paths.work, left_out=left_out) for text in (_BEFORE, _AFTER))
    options = ("--log-level=warning", "--before", before, "--after", after)
    output = await _aide(paths, config, *options, "--update")
    known["exit_code"] = output.code
    warnings = _judge(output, config)
    try:
        report, id_ = _read_results(paths, output.code)
    except ValueError as error:
        raise ProbeError(str(error), f"run it by hand: sudo aide --config {config} --check") from error
    with files.open_regular(path) as file:
        if digest(file) != database.sha256:
            raise ProbeError(f"the database {path} was replaced while it was checked", START)
    _keep(paths, id_)
    trust(paths, path, database.sha256)
    return {"id": id_, "warnings": tuple(warnings[:LISTED]), **_counted(report)}


def _config() -> Path:
    for config in CONFIGS:
        if config.exists():
            return config
    raise ProbeError(f"AIDE has no configuration: there is no {CONFIGS[0]}", "sudo apt install aide-common")


async def _aide(paths: Paths, config: Path, *options: str) -> subprocesses.Output:
    """Runs AIDE; its output has all of standard error, however much that is."""
    log = paths.work / "stderr"
    output = await subprocesses.run(
        "sh", "-c", _QUIETLY, str(log), subprocesses.find("aide"), "--config", str(config), *options
    )
    with files.open_regular(log) as file:
        stderr = file.read(_STDERR_LIMIT + 1)
    if len(stderr) > _STDERR_LIMIT:
        raise ProbeError("AIDE warns without end", f"sudo aide --config {config} --config-check")
    return structs.replace(output, stderr=stderr)


async def _refuse_old_version() -> None:
    output = await subprocesses.run("aide", "--version")
    version = _VERSION.match(output.text) or _VERSION.match(output.stderr.decode("ascii", "replace"))
    if version and (int(version[1]), int(version[2])) < _OLDEST:
        reason = f"AIDE {version[1]}.{version[2]} is too old: it writes no JSON report"
        raise ProbeError(reason, "install AIDE 0.18 or newer")


async def _database_in(paths: Paths, config: Path) -> Path:
    """The database that AIDE reads. The configuration is a program, so AIDE is asked to evaluate it."""
    options = ("--config-check", "--log-level=notice", "--after", "database_in=file:/nonexistent")
    output = await _aide(paths, config, *options)
    if output.code:
        message = aide_report.visible(output.error_message)
        raise ProbeError(f"AIDE refuses its configuration: {message}", f"fix {config}")
    option = _configured_database(output.stderr.decode("utf-8", "surrogateescape"))
    if option is None:
        raise ProbeError(f"{config} names no database", "add database_in=file:/var/lib/aide/aide.db")
    kind, _, name = option.partition(":")
    if kind != "file":
        raise ProbeError(f"{config}: database_in is {kind}, not a file", "have it name a file")
    return Path(name)


def _configured_database(notices: str) -> str | None:
    """The value of database_in in AIDE's notice that another one, which it was given, is ignored."""
    for line in notices.split("\n"):
        _, found, rest = line.partition(_DATABASE_IN)
        if found:
            return rest.rpartition("' (ignore new value '")[0]
    return None


def _judge(output: subprocesses.Output, config: Path) -> Sequence[str]:
    """Returns AIDE's harmless warnings, where its exit status and its other messages allow a result."""
    if output.code not in _EXIT_STATUSES:
        message = aide_report.visible(output.error_message)
        raise ProbeError(f"AIDE failed: {message}", f"sudo aide --config {config} --config-check")
    fatal, harmless = aide_report.judge(output.stderr.decode("utf-8", "surrogateescape"))
    if fatal:
        hint = f"have it readable, or leave it out in {config} (!/path), then: {START}"
        raise ProbeError(f"AIDE could not do all of its work: {fatal}", hint)
    return harmless


def _read_results(paths: Paths, exit_code: int) -> tuple[aide_report.Report, str]:
    """Returns the report and the candidate's digest, where the two agree.

    Raises:
        ValueError: they do not, or one of them is not whole.
    """
    with files.open_regular(paths.work / "report.json") as file:
        data = file.read(_REPORT_LIMIT + 1)
    if len(data) > _REPORT_LIMIT:
        raise ValueError("more has changed than can be reported; make a new database")
    report = aide_report.parse(data, exit_code, paths.left_out)
    candidate = inspect(paths.work / "aide.db")
    if candidate.entries != report.total:
        raise ValueError(f"AIDE reports {report.total} entries and wrote {candidate.entries}")
    if report.count("added") == report.total:
        raise ValueError("AIDE knows no file of its database: it is damaged, or the rules are all different")
    return report, candidate.sha256


def _keep(paths: Paths, id_: str) -> None:
    """Keeps what AIDE wrote under the candidate's name, safe from a power cut."""
    for name, kept in (("aide.db", paths.candidate(id_)), ("report.json", paths.report(id_))):
        files.sync(paths.work / name)
        (paths.work / name).replace(kept)
    files.sync(paths.private)


def _counted(report: aide_report.Report) -> dict[str, Any]:
    of = {kind: [one for one in report.findings if one.change == kind] for kind in get_args(Change)}
    listed = tuple(chain.from_iterable(ones[:LISTED] for ones in of.values()))
    counts: dict[str, Any] = {kind: len(ones) for kind, ones in of.items()}
    unlisted = len(report.findings) - len(listed)
    return {"total": report.total, **counts, "findings": listed, "unlisted": unlisted}


def _discard(paths: Paths, keep: str) -> None:
    """Removes every other candidate: only what the last check found can be accepted."""
    shutil.rmtree(paths.work, ignore_errors=True)
    for path in paths.private.iterdir():
        if re.fullmatch(r"[0-9a-f]{64}\.(db|json)", path.name) and path.stem != keep:
            path.unlink()
