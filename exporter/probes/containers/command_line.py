"""Asks Docker or Podman by their command-line tools: two processes a run, for any number of containers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from exporter.probe import ProbeError
from exporter.probes.containers.engine import EngineDown, forbidden, missing
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


class CommandLine(Struct, frozen=True):
    """An engine's tool. argv: the command line that `ps` and `inspect` are added to."""

    argv: Sequence[str]

    async def inspect_all(self) -> tuple[list[Container], str]:
        """As Engine. A container that vanishes between `ps` and `inspect` is simply gone."""
        program = self.argv[0]
        # Ids alone, for want of a template that every version of both tools understands.
        listed = await _ask(self.argv, "ps", "--all", "--no-trunc", "--quiet", limit=PS_LIMIT)
        if listed.code:
            raise ProbeError(f"{program} ps: {listed.error_message}")
        ids = listed.text.split()
        if invalid := next((word for word in ids if not ID.fullmatch(word)), None):
            raise ProbeError(f"{program} ps printed what is no container's id: {invalid[:64]!r}")
        if not ids:
            return [], ""
        inspected = await _ask(self.argv, "inspect", "--type", "container", *ids, limit=INSPECT_LIMIT)
        if inspected.code and not inspected.stdout.strip():
            raise ProbeError(f"{program} inspect: {inspected.error_message}")
        containers, errors = await run_in_thread_if_large(len(inspected.stdout), parse, inspected.stdout)
        lost = set(ids) - {container.id for container in containers} - _gone(inspected)
        reasons = [*errors, inspected.error_message]
        return containers, missing(f"{program} inspect", len(lost), len(ids), reasons)


async def _ask(engine: Sequence[str], *arguments: str, limit: int) -> Output:
    output = await subprocesses.run(*engine, *arguments, env=ENVIRONMENT, limit=limit)
    stderr = output.stderr.decode("utf-8", "replace")
    if output.code and any(map(_is_forbidden, stderr.casefold().splitlines())):
        raise forbidden(output.error_message)
    if output.code and DOWN.search(stderr):
        raise EngineDown(output.error_message)
    return output


def _is_forbidden(line: str) -> bool:
    return "permission denied" in line and "connect" in line


def _gone(output: Output) -> set[str]:
    """The ids of which the tool reports that there is no such container."""
    lines = output.stderr.decode("utf-8", "replace").splitlines()
    return {gone for line in lines if GONE.search(line) for gone in ID.findall(line)}
