"""What both ways to ask a container engine share: its own API, and its command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exporter.probe import ProbeError
from exporter.probes.containers.inspect_json import Container


class EngineDown(Exception):  # noqa: N818 - not an error: the engine's state is what is reported
    """The engine does not run. Its text is the error message."""


class Engine(Protocol):
    """Docker or Podman."""

    async def inspect_all(self) -> tuple[list[Container], str]:
        """Every container, whatever its state, and why some are missing (empty: none is).

        Raises:
            EngineDown: nothing listens at the engine's address.
            ProbeError: the engine can't be asked, or its output is invalid.
        """


def forbidden(error_message: str) -> ProbeError:
    """The error of a user who may not open the engine's socket."""
    return ProbeError(
        f"this user may not open the engine's socket: {error_message}",
        "put a proxy before it that lets only GET through and set probes.containers.host: "
        "tcp://127.0.0.1:2375; or add the user to the group docker, which makes it root",
    )


def missing(source: str, count: int, total: int, errors: Sequence[str]) -> str:
    """Why containers are missing, in a line."""
    return f"{source} fails for {count} of {total} containers: {errors[0]}" if count else ""
