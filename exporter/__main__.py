"""The command line: serve, check-config, probe, doctor, aide."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from pathlib import Path

from exporter import __version__, daemon, log, trial
from exporter.access.guard import Guard
from exporter.aide import cli as aide
from exporter.config import Plan, discover, load, load_in_time
from exporter.probe import Box
from exporter.site import ListenError, listen
from exporter.strictyaml import ConfigError
from exporter.words import many

USAGE_ERROR = 2  # also for a configuration that can't be used
INTERRUPTED = 130  # as shells say it: 128 and SIGINT's number


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    _let_write()
    options = _parser().parse_args(argv)
    options.box = Box(proc=options.procfs, cgroup=options.cgroup)
    log.setup(options.log_level, options.log_format)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ConfigError as error:
        return _fail(f"configuration: {error}", USAGE_ERROR)
    except ListenError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `grid-exporter doctor | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _let_write() -> None:
    """Has what the encoding lacks (in ASCII a tick) escaped, and nothing written where output is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"grid-exporter: {message}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    """The flags are named as Prometheus's own programs name theirs."""
    parser = argparse.ArgumentParser(
        prog="grid-exporter", description="Tells Prometheus the state of an AI box."
    )
    parser.set_defaults(run=_serve)
    parser.add_argument("--version", action="version", version=f"grid-exporter {__version__}")
    parser.add_argument(
        "--config.file", dest="config", type=Path, metavar="FILE", help="default: what the box has"
    )
    parser.add_argument("--web.listen-address", dest="listen", default="127.0.0.1:10058", metavar="HOST:PORT")
    parser.add_argument(
        "--web.config.file", dest="web_config", type=Path, metavar="FILE", help="who may scrape"
    )
    parser.add_argument(
        "--path.procfs",
        dest="procfs",
        type=Path,
        default=Path("/proc"),
        metavar="DIR",
        help="the host's /proc",
    )
    parser.add_argument(
        "--path.cgroup",
        dest="cgroup",
        type=Path,
        default=Path("/sys/fs/cgroup"),
        metavar="DIR",
        help="its /sys/fs/cgroup",
    )
    parser.add_argument("--log.level", dest="log_level", choices=log.LEVELS, default="info")
    parser.add_argument("--log.format", dest="log_format", choices=("logfmt", "json"), default="logfmt")
    commands = parser.add_subparsers(title="commands (none of them: serve)", metavar="COMMAND")
    check = commands.add_parser("check-config", help="say whether the configuration is good")
    check.set_defaults(run=_check_config)
    probe = commands.add_parser("probe", help="run one probe and print what it found and what ran")
    probe.add_argument("name", help="a probe (disk:/ai/models) or a kind of probe (disk)")
    probe.set_defaults(run=_probe)
    doctor = commands.add_parser("doctor", help="say what works for this user and what mends the rest")
    doctor.set_defaults(run=_doctor)
    aide.add_commands(commands.add_parser("aide", help="check files with AIDE, review and accept"))
    return parser


async def _plan(options: argparse.Namespace) -> Plan:
    """The plan from the configuration file, or from what the box has where none is named."""
    config, box = options.config, options.box
    return await load_in_time(config, box) if config else await discover(box)


def _serve(options: argparse.Namespace) -> int:
    guard = Guard(options.web_config)
    listeners = listen(options.listen)
    asyncio.run(daemon.serve(listeners, guard, lambda: _plan(options)))
    return 0


def _check_config(options: argparse.Namespace) -> int:
    Guard(options.web_config)
    if options.config is None:
        sys.stdout.write("no --config.file: what this box has is served\n")
        return 0
    plan = load(options.config, options.box)
    sys.stdout.write(f"{options.config} is good: {many(len(plan.probes), 'probe')}\n")
    return 0


def _probe(options: argparse.Namespace) -> int:
    async def run() -> int:
        return await trial.probe(await _plan(options), options.name)

    return asyncio.run(run())


def _doctor(options: argparse.Namespace) -> int:
    async def run() -> int:
        return await trial.doctor(await _plan(options))

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
