"""Asks Docker or Podman for every container there is, by their own command-line tools."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.probe import ProbeError
from exporter.probes.containers.inspect_json import Container, parse
from exporter.system import subprocesses
from exporter.system.subprocesses import Output
from exporter.system.threads import run_in_thread_if_large

ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
GONE = re.compile(r"no such (object|container)", re.IGNORECASE)
DOWN = re.compile(r"(cannot|failed to|unable to) connect to|connection refused", re.IGNORECASE)
PS_LIMIT = 1024 * 1024  # some 16,000 ids
INSPECT_LIMIT = 16 * 1024 * 1024  # some 1600 containers
# None of the configuration of whoever runs the exporter: it may be unreadable or choose another engine.
ENVIRONMENT = {"DOCKER_CONFIG": "/nonexistent"}


class EngineDown(Exception):  # noqa: N818 - not an error: the engine's state is what is reported
    """The engine does not run. Its text is the tool's error message."""


async def inspect_all(engine: Sequence[str]) -> tuple[list[Container], str]:
    """Every container, whatever its state, and why some are missing (empty: none is).

    One that vanishes between `ps` and `inspect` is simply gone.

    Args:
        engine: the command line that `ps` and `inspect` are added to.

    Raises:
        EngineDown: nothing listens at the engine's socket.
        ProbeError: the tool is missing, may not open the socket, or its output is invalid.
    """
    # Ids alone, for want of a template that every version of both tools understands.
    listed = await _ask(engine, "ps", "--all", "--no-trunc", "--quiet", limit=PS_LIMIT)
    if listed.code:
        raise ProbeError(f"{engine[0]} ps: {listed.error_message}")
    ids = listed.text.split()
    if invalid := next((word for word in ids if not ID.fullmatch(word)), None):
        raise ProbeError(f"{engine[0]} ps printed what is no container's id: {invalid[:64]!r}")
    if not ids:
        return [], ""
    inspected = await _ask(engine, "inspect", "--type", "container", *ids, limit=INSPECT_LIMIT)
    if inspected.code and not inspected.stdout.strip():
        raise ProbeError(f"{engine[0]} inspect: {inspected.error_message}")
    containers, errors = await run_in_thread_if_large(len(inspected.stdout), parse, inspected.stdout)
    missing = set(ids) - {container.id for container in containers} - _gone(inspected)
    if not missing:
        return containers, ""
    reason = errors[0] if errors else inspected.error_message
    return containers, f"{engine[0]} inspect fails for {len(missing)} of {len(ids)} containers: {reason}"


async def _ask(engine: Sequence[str], *arguments: str, limit: int) -> Output:
    output = await subprocesses.run(*engine, *arguments, env=ENVIRONMENT, limit=limit)
    stderr = output.stderr.decode("utf-8", "replace")
    if output.code and any(map(_is_forbidden, stderr.casefold().splitlines())):
        raise ProbeError(
            f"this user may not open the engine's socket: {output.error_message}",
            "put a proxy before it that lets only GET through and set probes.containers.command: "
            "[docker, -H, tcp://127.0.0.1:2375]; or add the user to the group docker, which makes it root",
        )
    if output.code and DOWN.search(stderr):
        raise EngineDown(output.error_message)
    return output


def _is_forbidden(line: str) -> bool:
    return "permission denied" in line and "connect" in line


def _gone(output: Output) -> set[str]:
    """The ids of which the tool reports that there is no such container."""
    lines = output.stderr.decode("utf-8", "replace").splitlines()
    return {gone for line in lines if GONE.search(line) for gone in ID.findall(line)}
