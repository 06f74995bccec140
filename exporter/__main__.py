"""The command line: serve, check-config, probe, doctor, aide."""

# Each command loads what it needs, so that serving starts soon.
# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from exporter import __version__, daemon
from exporter.aide import cli as aide
from exporter.config.load import Plan, discover, load, load_in_time
from exporter.config.strict_yaml import ConfigError
from exporter.humanize import pluralize
from exporter.probe import Host
from exporter.system import logs, memory, orphans
from exporter.web.listeners import ListenError, inherited, listen

DEFAULT_ADDRESS = "127.0.0.1:10058"
USAGE_ERROR = 2  # also for a configuration that can't be used
INTERRUPTED = 130  # as in shells: 128 and SIGINT's number


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    _make_output_writable()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as it may be inherited, it hides how tools end
    orphans.adopt()
    memory.return_large_blocks()
    options = _parser().parse_args(argv)
    options.host = Host(proc=options.procfs, cgroup=options.cgroup, sys=options.sysfs)
    logs.setup(options.log_level, options.log_format)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ConfigError as error:
        return _fail(f"configuration: {error}", USAGE_ERROR)
    except ListenError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `grid-exporter doctor | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _make_output_writable() -> None:
    """Has characters that the encoding lacks escaped, and discards output where it is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"grid-exporter: {message}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="grid-exporter", description="Prometheus exporter for a self-hosted AI box.", allow_abbrev=False
    )
    parser.set_defaults(run=_serve)
    _add_flags(parser)
    commands = parser.add_subparsers(title="commands (none of them: serve)", metavar="COMMAND")
    check = commands.add_parser("check-config", help="validate the configuration")
    check.set_defaults(run=_check_config)
    probe = commands.add_parser("probe", help="run one probe; print its metrics and what ran")
    probe.add_argument("name", help="a probe (disk:/ai/models) or a kind of probe (disk)")
    probe.set_defaults(run=_probe)
    doctor = commands.add_parser("doctor", help="report what works for this user and how to fix the rest")
    doctor.set_defaults(run=_doctor)
    aide.add_commands(commands.add_parser("aide", help="check files with AIDE, review and accept"))
    return parser


def _add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags are named as Prometheus's own programs name theirs."""
    parser.add_argument("--version", action="version", version=f"grid-exporter {__version__}")

    def flag(name: str, into: str, help_: str, default: object = None, **more: Any) -> None:
        text = f"{help_} (default: {default})" if default else help_
        parser.add_argument(name, dest=into, help=text, default=default, **more)

    flag(
        "--config.file",
        "config",
        "what to monitor; else what this host has",
        type=Path,
        metavar="FILE",
    )
    parser.add_argument(
        "--web.listen-address", dest="listen", action="append", metavar="HOST:PORT",
        help=f"where to serve; may be given several times (default: {DEFAULT_ADDRESS})",
    )  # fmt: skip
    parser.add_argument(
        "--web.systemd-socket", dest="systemd_socket", action="store_true",
        help="serve on the sockets that systemd hands over, instead of addresses",
    )  # fmt: skip
    flag("--web.config.file", "web_config", "TLS, and who may scrape", type=Path, metavar="FILE")
    flag("--path.procfs", "procfs", "the host's procfs", Path("/proc"), type=Path, metavar="DIR")
    flag("--path.sysfs", "sysfs", "the host's sysfs", Path("/sys"), type=Path, metavar="DIR")
    flag("--path.cgroup", "cgroup", "the host's cgroups", Path("/sys/fs/cgroup"), type=Path, metavar="DIR")
    flag("--log.level", "log_level", "what to log at least", "info", choices=logs.LEVELS)
    flag("--log.format", "log_format", "how to log it", "logfmt", choices=("logfmt", "json"))


async def _plan(options: argparse.Namespace) -> Plan:
    """The plan from the configuration file, or from what the host has where none is given."""
    config, host = options.config, options.host
    return await load_in_time(config, host) if config else await discover(host)


def _serve(options: argparse.Namespace) -> int:
    asyncio.run(daemon.serve(lambda: _listeners(options), options.web_config, lambda: _plan(options)))
    return 0


def _listeners(options: argparse.Namespace) -> list[socket.socket]:
    if not options.systemd_socket:
        return listen(options.listen or [DEFAULT_ADDRESS])
    if options.listen:
        raise ListenError("--web.systemd-socket and --web.listen-address exclude each other")
    return inherited(os.environ)


def _check_config(options: argparse.Namespace) -> int:
    from exporter.web.auth import Auth

    Auth(options.web_config)
    if options.config is None:
        sys.stdout.write("no --config.file: what this host has is served\n")
        return 0
    plan = load(options.config, options.host)
    sys.stdout.write(f"{options.config} is good: {pluralize(len(plan.probes), 'probe')}\n")
    return 0


def _probe(options: argparse.Namespace) -> int:
    from exporter import doctor

    async def run() -> int:
        return await doctor.probe(await _plan(options), options.name)

    return asyncio.run(run())


def _doctor(options: argparse.Namespace) -> int:
    from exporter import doctor

    async def run() -> int:
        return await doctor.doctor(await _plan(options))

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
