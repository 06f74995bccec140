"""`grid-exporter aide …`: a check, its review, and its acceptance."""

# Each command loads what it needs, so that the exporter, which only names them, loads none of it.
# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
from pathlib import Path

from exporter.aide.files import Paths


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Adds check, show, accept and accept-request to the parser of `grid-exporter aide`."""
    parser.add_argument(
        "--state",
        dest="paths",
        type=_paths,
        default=Paths(),
        metavar="DIR",
        help=f"where checks write what they found (default: {Paths().state})",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="have AIDE compare this box with its database (root)")
    check.set_defaults(run=_check)
    show = commands.add_parser("show", help="print what the last check found, and how to accept it")
    show.set_defaults(run=_show)
    accept = commands.add_parser("accept", help="make the last check's candidate the active database (root)")
    accept.add_argument("id", metavar="ID", help="as printed by `aide show`")
    accept.set_defaults(run=_accept)
    request = commands.add_parser("accept-request", help="accept what was requested over HTTP (for its unit)")
    request.set_defaults(run=_accept_request)


def _paths(state: str) -> Paths:
    try:
        return Paths(Path(state))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(options: argparse.Namespace) -> int:
    from exporter.aide.check import check

    return check(options.paths)


def _show(options: argparse.Namespace) -> int:
    from exporter.aide.show import show

    return show(options.paths)


def _accept(options: argparse.Namespace) -> int:
    from exporter.aide.accept import accept

    return accept(options.id, options.paths)


def _accept_request(options: argparse.Namespace) -> int:
    from exporter.aide.accept_request import accept_request

    return accept_request(options.paths)
