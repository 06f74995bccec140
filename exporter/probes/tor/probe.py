"""Tor as its users meet it: a real request through its SOCKS port, and Tor's own report beside it."""

from __future__ import annotations

import os
import shutil
import time
from urllib.parse import urlsplit

from exporter.metrics.families import Samples, counter, gauge
from exporter.probe import Duration, Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.tor import control
from exporter.probes.tor.curl import OUTPUT_LIMIT, Answer, curl, parse
from exporter.probes.tor.exit_memory import ExitMemory
from exporter.probes.tor.summary import summarize
from exporter.system import subprocesses

UP = gauge(
    "grid_tor_up",
    "1 if Tor carried a request to the check page, 0 if it did not (curl through the SOCKS port, cached).",
)
IS_TOR = gauge(
    "grid_tor_is_tor",
    "1 if the check page saw the request come from Tor, else 0 (curl through the SOCKS port, cached).",
)
EXIT = gauge(
    "grid_tor_exit_info",
    "Always 1; the address that the check page saw (curl through the SOCKS port, cached).",
    "address",
)
EXIT_CHANGED = gauge(
    "grid_tor_exit_changed_timestamp_seconds",
    "When an exit address other than the last was seen, Unix time (curl through the SOCKS port, cached).",
)
DURATION = gauge(
    "grid_tor_check_duration_seconds", "How long the request through Tor took (curl time_total, cached)."
)
BOOTSTRAP = gauge("grid_tor_bootstrap_ratio", "How far Tor has started, 0 to 1 (its control port, cached).")
CIRCUIT = gauge(
    "grid_tor_circuit_established",
    "1 if Tor believes that it can build circuits, even when no relay answers (its control port, cached).",
)
TRAFFIC = counter(
    "grid_tor_traffic_bytes_total",
    "Bytes that Tor read and wrote since it started (its control port, cached).",
    "direction",
)
INFO = gauge("grid_tor_info", "Always 1; the version of Tor (its control port, cached).", "version")

# The page's URL may hold a key of its owner's: it stays off the status page and the log.
SHOW_RUN = "see what ran: `grid-exporter --config.file FILE probe tor`"

# Shares of the probe's timeout. Together they are below 1, so that a Tor which hangs ends as curl's own
# timeout, which is a fact, and not as the probe's.
CONTROL_SHARE = 0.1
REQUEST_SHARE = 0.8

# SOCKS replies (RFC 1928) that Tor gives; what it can do about each.
REPLIES = {
    1: ("general failure", "see Tor's log (journalctl -u tor@default): it may be starting, or reach no exit"),
    2: ("not allowed by its rules", "see SocksPolicy and the flags of SocksPort in torrc"),
    3: ("network unreachable", "see that this host reaches the Internet, and Tor's log"),
    6: ("TTL expired", "see Tor's log (journalctl -u tor@default): its circuits fail or are too slow"),
    7: ("command not supported", "see Tor's log (journalctl -u tor@default)"),
    8: ("address type not supported", "see Tor's log (journalctl -u tor@default)"),
}
HINT = "see that Tor runs (systemctl status tor@default) and that socks is the SocksPort of its torrc"
SWITCH_ON = 'probes:\n  tor:\n    socks: "127.0.0.1:9050"'


class Settings(Schedule, frozen=True):
    """What to ask.

    socks, control: Tor's ports, ``host:port`` or ``unix:/path``; the control port is asked only where given.
    url: a page that answers as https://check.torproject.org/api/ip does.
    """

    ttl: Duration = Duration(120)
    wait: Duration = Duration(0)
    timeout: Duration = Duration(30)
    socks: str = "127.0.0.1:9050"
    url: str = "https://check.torproject.org/api/ip"
    control: str | None = None

    def __post_init__(self) -> None:
        """Refuses ports and pages that can't be right."""
        super().__post_init__()
        for name, where in (("socks", self.socks), ("control", self.control)):
            if where is not None:
                _check_endpoint(name, where)
        if not _is_page(self.url):
            raise ValueError(
                "url: expected an http:// or https:// page outside .onion, without a password in it"
            )


def _check_endpoint(name: str, where: str) -> None:
    try:
        control.endpoint(where)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _is_page(url: str) -> bool:
    """Whether an exit can fetch it: an onion service is reached without one and can't see its address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    return plain and parts.scheme in ("http", "https") and host[-6:] not in ("", ".onion") and port != 0


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe; it remembers the last exit from run to run."""
    exits = ExitMemory(host.state / "tor-exit.json" if host.state else None)

    async def run() -> Result:
        samples = Samples()
        notes = await _ask_control(settings, samples)
        argv = curl(settings.socks, settings.url, settings.timeout * REQUEST_SHARE)
        answer = parse(await subprocesses.run(*argv, limit=OUTPUT_LIMIT))
        if answer.up is None:
            raise ProbeError(f"curl could not ask Tor: {answer.error}", SHOW_RUN)
        if answer.address:
            exits.record(answer.address, time.time())
        _add_answer(samples, answer, exits.changed)
        if answer.up and answer.is_tor is None:
            raise ProbeError(
                f"Tor works, but {urlsplit(settings.url).hostname} gave no usable answer: {answer.error}",
                "see what the page returns, or set url to another one that answers alike",
                samples.families(),
            )
        return Result(samples.families(), (*_warnings(answer), *notes, *exits.warnings))

    return [Probe("tor", settings, settings, run, summarize)]


async def _ask_control(settings: Settings, samples: Samples) -> tuple[Note, ...]:
    """Adds Tor's report about itself. A failure there is a note and no more: the request is what counts."""
    if settings.control is None:
        return ()
    try:
        facts = await control.ask(settings.control, settings.timeout * CONTROL_SHARE)
    except ProbeError as error:
        return (Note(error.reason, error.hint),)
    samples.add(BOOTSTRAP, facts.bootstrap)
    samples.add(CIRCUIT, facts.circuit)
    samples.add(TRAFFIC, facts.read, "read")
    samples.add(TRAFFIC, facts.written, "written")
    if facts.version:
        samples.add(INFO, 1, facts.version)
    return ()


def _add_answer(samples: Samples, answer: Answer, exit_changed: float | None) -> None:
    samples.add(UP, answer.up)
    samples.add(IS_TOR, answer.is_tor)
    samples.add(DURATION, answer.seconds)
    samples.add(EXIT_CHANGED, exit_changed)
    if answer.address:
        samples.add(EXIT, 1, answer.address)


def _warnings(answer: Answer) -> tuple[Note, ...]:
    """What a person should know although the probe did not fail."""
    if not answer.up and answer.reply is not None:
        meaning, hint = REPLIES.get(answer.reply, (f"SOCKS reply {answer.reply}", REPLIES[7][1]))
        reason = f"Tor runs but could not connect to the check page: {meaning} ({answer.error})"
        return (Note(reason, hint),)
    if not answer.up:
        return (Note(f"Tor is down: {answer.error}", HINT),)
    if not answer.is_tor:
        return (Note("the check page did not see the request come from Tor", HINT),)
    return ()


async def discover(host: Host) -> Note:
    """Never asks by itself: a request sends traffic out, and whoever runs Tor may not want that."""
    places = os.pathsep.join(str(host.root / place.lstrip("/")) for place in os.get_exec_path())
    if (host.root / "run/tor").exists() or shutil.which("tor", path=places):
        return Note("Tor is here but not asked, since asking sends traffic out", SWITCH_ON)
    return Note("no Tor here")


KIND = Kind("tor", Settings, build, discover)
