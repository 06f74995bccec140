"""The output of `docker inspect` and `podman inspect`, in one spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, field

from exporter.probe import ProbeError

# Podman's words for what Docker has a word for. "stopped" has ended and is not cleaned up yet.
STATES_OF_PODMAN = {
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
    "stopped": "exited",
}

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Health(msgspec.Struct, frozen=True, rename="pascal"):
    """The outcome of the container's own health check. status: empty or ``none`` where it has none."""

    status: str = ""


class State(msgspec.Struct, frozen=True, rename="pascal"):
    """How the container is. healthcheck: what Podman before 4 called health."""

    status: str
    pid: Count = 0
    exit_code: Annotated[int, Meta(ge=-(2**32), le=2**32)] = 0
    oom_killed: bool = field(name="OOMKilled", default=False)
    started_at: str = ""
    health: Health | None = None
    healthcheck: Health | None = None


class Config(msgspec.Struct, frozen=True, rename="pascal"):
    """What the container was made from."""

    image: str = ""
    labels: dict[str, str] | None = None
    env: list[str] | None = None


class RestartPolicy(msgspec.Struct, frozen=True, rename="pascal"):
    """When the engine starts the container again."""

    name: str = ""


class HostConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """What the engine grants the container. memory: its limit in bytes, 0 for none."""

    restart_policy: RestartPolicy = RestartPolicy()
    memory: Count = 0


class Container(msgspec.Struct, frozen=True, rename="pascal"):
    """A container, as far as we need it; the other fields are ignored."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    raw_name: str = field(name="Name")
    state: State
    created: str = ""
    restart_count: Count = 0
    args: list[str] | None = None
    config: Config = Config()
    host_config: HostConfig = HostConfig()

    @property
    def name(self) -> str:
        """Its name; Docker writes a slash before it."""
        return self.raw_name.removeprefix("/")

    @property
    def status(self) -> str:
        """Its state in Docker's words."""
        return STATES_OF_PODMAN.get(self.state.status, self.state.status)

    @property
    def health(self) -> str | None:
        """Its health check's status, or None: it has no check, or does not run.

        Docker calls every container with a health check unhealthy once it has ended, however well.
        """
        health = self.state.health or self.state.healthcheck
        if self.status != "running" or health is None or health.status in ("", "none"):
            return None
        return health.status

    @property
    def exit_code(self) -> int | None:
        """How its last run ended, or None: it runs, or never did (a first start that fails leaves a code)."""
        code = self.state.exit_code
        unknown = self.status in ("running", "paused") or (self.status == "created" and code == 0)
        return None if unknown else code

    @property
    def image(self) -> str:
        """The image it was made from, as it was named then."""
        return self.config.image

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels and its image's."""
        return self.config.labels or {}


def parse(stdout: bytes) -> tuple[list[Container], list[str]]:
    """The containers of an `inspect`, and the errors of those that are invalid.

    Raises:
        ProbeError: it is not a JSON array.
    """
    containers, errors = [], []
    try:
        raws = msgspec.json.decode(stdout, type=list[msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"the output of inspect is invalid: {error}") from error
    for raw in raws:
        try:
            containers.append(msgspec.json.decode(raw, type=Container))
        except (ValueError, RecursionError) as error:
            errors.append(str(error))
    return containers, errors


def timestamp(text: str) -> float | None:
    """Unix time of RFC 3339's, or None: for Go's zero time (year 1) and whatever is no time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = when.timestamp() if when.tzinfo else 0.0
    return seconds if seconds > 0 else None


def by_name(containers: Iterable[Container]) -> dict[str, Container]:
    """The containers by a name that each has alone.

    Names move from one container to another while `inspect` asks for one after the other, and one may even be
    named like another's id. The first keeps the name; the next goes by its short id, or its full one.
    """
    named: dict[str, Container] = {}
    for container in {it.id: it for it in containers}.values():
        for name in (container.name, container.id[:12], container.id):
            if name and named.setdefault(name, container) is container:
                break
    return named
