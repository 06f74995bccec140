"""Each reader's worst megabyte: work that is not linear in its length would hold the loop."""

import contextlib
import time
from collections.abc import Callable

import pytest

from exporter.probe import ProbeError
from exporter.probes import host
from exporter.probes.containers import cgroups, command_line, inspect_json
from exporter.probes.services import systemctl
from exporter.probes.tor import control, cookie, curl
from exporter.system.subprocesses import Output

SIZE = 1_000_000
ID = "5f" * 32


def fill(text: str) -> str:
    return text * (SIZE // len(text))


def error_message(text: str) -> object:
    """What is made of a tool's standard error."""
    return curl.parse(Output(("curl",), 97, b"\n000 0.1", text.encode(), 0.1)), [
        command_line._is_forbidden(line) for line in text.splitlines()
    ]


def show(text: str) -> object:
    units = systemctl.parse_show(f"{text}\n")
    return [
        (systemctl.names(it), *(read(it.get("A")) for read in (systemctl.timestamp, systemctl.duration)))
        for it in units
    ]


WORST = [
    (host.parse_meminfo, fill("MemTotal: ")),
    (host.parse_meminfo, f"MemTotal: {fill('1')} kB"),
    (host.parse_stat, fill("cpu ")),
    (host.parse_stat, "cpu " + fill("1")),
    (host.parse_stat, fill("cpu1\n")),
    (host.parse_loadavg, fill("1")),
    (host.parse_loadavg, fill(" ")),
    (host.parse_pressure, "some " + fill(" total=1")),
    (host.parse_pressure, fill("some  total=\n")),
    (lambda text: cgroups.parse_groups(text, ID), fill("1:")),
    (lambda text: cgroups.parse_groups(text, ID), fill("1")),
    (lambda text: cgroups.parse_groups(text, ID), fill("1:\n")),
    (lambda text: cgroups.parse_groups(text, ID), f"0::/{fill('/' + ID)}"),
    (error_message, fill("permission denied ")),
    (error_message, fill("SOCKS5 connection to ")),
    (error_message, fill("connect")),
    (command_line.GONE.search, fill("no such ")),
    (command_line.ID.findall, fill("a" * 63 + "g")),
    (show, fill("A")),
    (show, fill("A=\n\n")),
    (show, "A=" + fill("1h ")),
    (show, "A=" + fill("9")),
    (show, "Names=" + fill('"a\\')),
    (control.parse, fill("250-a=\n")),
    (control.parse, "250-status/bootstrap-phase=" + fill("PROGRESS=")),
    (cookie.parse, '250-AUTH METHODS=A COOKIEFILE="' + fill("\\1")),
    (cookie.parse, fill("250-AUTH METHODS=A")),
    (lambda text: inspect_json.parse(text.encode()), fill("[")),
    (lambda text: inspect_json.parse(f"[{text}1]".encode()), fill("1,")),
    (lambda text: inspect_json.parse(f'[{{"Id":"{ID}","Name":"{text}"}}]'.encode()), fill("\\n")),
    (lambda text: inspect_json.parse(f'[{{"Id":"{ID}","RestartCount":{text}}}]'.encode()), fill("9")),
    (inspect_json.timestamp, fill("2026-")),
]


@pytest.mark.parametrize(
    ("read", "text"),
    WORST,
    ids=[f"{n}-{getattr(read, '__name__', read)}" for n, (read, _) in enumerate(WORST)],
)
def test_worst_megabyte(read: Callable[[str], object], text: str) -> None:
    """Whatever comes of it, it takes a moment of processor time."""
    before = time.thread_time()
    with contextlib.suppress(ProbeError):
        read(text)
    assert time.thread_time() - before < 10
