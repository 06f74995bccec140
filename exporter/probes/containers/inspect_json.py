"""The output of `docker inspect` and `podman inspect`, in one spelling.

The fields that are used are decoded one by one: an invalid one costs no other, and what has no bound (the
environment, labels that nobody asked for) is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from exporter.probe import ProbeError
from exporter.probes.containers import watchtower
from exporter.probes.containers.watchtower import Rule

CONTAINER_LIMIT = (
    1024 * 1024
)  # bytes of one container; some 10 KB are usual, 30 KB with a talkative health check
ARGUMENTS_LIMIT = 64 * 1024  # bytes of a Watchtower's arguments, and of its environment
COMPOSE_PROJECT, COMPOSE_SERVICE = "com.docker.compose.project", "com.docker.compose.service"
LABELS = (*watchtower.LABELS, COMPOSE_PROJECT, COMPOSE_SERVICE)  # all others are ignored

# Podman's words for what Docker has a word for. "stopped" has ended and is not cleaned up yet.
STATES_OF_PODMAN = {
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
    "stopped": "exited",
}

Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Bytes = Annotated[int, Meta(ge=0, le=2**56)]  # more than any host has
LATEST = 4102444800.0  # the year 2100
ExitCode = Annotated[int, Meta(ge=-(2**32), le=2**32)]
NULL = Raw(b"null")

_T = TypeVar("_T")


class _State(msgspec.Struct, rename="pascal"):
    status: Raw = NULL
    pid: Raw = NULL
    exit_code: Raw = NULL
    oom_killed: Raw = msgspec.field(name="OOMKilled", default=NULL)
    started_at: Raw = NULL
    health: Raw = NULL
    healthcheck: Raw = NULL  # what Podman before 4 called health


class _Health(msgspec.Struct, rename="pascal"):
    status: Raw = NULL


class _Config(msgspec.Struct, rename="pascal"):
    image: Raw = NULL
    labels: Raw = NULL
    env: Raw = NULL


class _RestartPolicy(msgspec.Struct, rename="pascal"):
    name: Raw = NULL


class _HostConfig(msgspec.Struct, rename="pascal"):
    restart_policy: Raw = NULL
    memory: Raw = NULL


class _Inspected(msgspec.Struct, rename="pascal"):
    id: Id
    name: Raw = NULL
    state: Raw = NULL
    created: Raw = NULL
    restart_count: Raw = NULL
    path: Raw = NULL
    args: Raw = NULL
    config: Raw = NULL
    host_config: Raw = NULL


class Container(Struct, frozen=True):
    """A container; None for what is unknown or does not apply.

    status: its state in Docker's words. health: of its own health check, while it runs. exit_code: of its
    last run, while it does not run. pid: of its main process, 0 without one. created_at, started_at: Unix
    time. memory_limit: bytes. labels: those of LABELS that it has. watchtower: the rule of a Watchtower.
    """

    id: str
    name: str
    status: str
    image: str = ""
    health: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    pid: int = 0
    restarts: int | None = None
    created_at: float | None = None
    started_at: float | None = None
    restart_policy: str = "no"
    memory_limit: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    watchtower: Rule | None = None


def parse(stdout: bytes) -> tuple[list[Container], list[str]]:
    """The containers of an `inspect`, and the errors of those that are invalid.

    Raises:
        ProbeError: it is not a JSON array of objects.
    """
    try:
        raws = _split(stdout)
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"the output of inspect is invalid: {error}") from error
    containers, errors = [], []
    for raw in raws:
        try:
            containers.append(parse_container(raw))
        except (ValueError, RecursionError) as error:
            errors.append(str(error))
    return containers, errors


def _split(stdout: bytes) -> Iterable[Raw | _Inspected]:
    """The array's elements.

    Elements as small as ``1,`` would take a hundred times their length: those are split only from an array
    that is small itself.
    """
    if len(stdout) <= CONTAINER_LIMIT:
        return msgspec.json.decode(stdout, type=list[Raw])
    return msgspec.json.decode(stdout, type=list[_Inspected])


def parse_container(raw: bytes | Raw | _Inspected) -> Container:
    """One container, as `inspect` or the engine's API reports it.

    Raises:
        ValueError: it is too large, no object, or without an id or a state.
    """
    it = raw if isinstance(raw, _Inspected) else _decode_bounded(raw)
    state, config, host = (
        _read(it.state, _State),
        _read(it.config, _Config),
        _read(it.host_config, _HostConfig),
    )
    raw_status = _read(state.status, Text) if state else None
    if state is None or raw_status is None:
        raise ValueError(f"container {it.id[:12]} has no state")
    status = STATES_OF_PODMAN.get(raw_status, raw_status)
    image, labels = (_read(config.image, str) or "", _labels(config.labels)) if config else ("", {})
    policy = _read(host.restart_policy, _RestartPolicy) if host else None
    is_watchtower = config is not None and watchtower.is_watchtower(image, labels)
    return Container(
        id=it.id,
        name=(_read(it.name, str) or "").removeprefix("/"),
        status=status,
        image=image,
        health=_health(state, status),
        exit_code=_exit_code(state, status),
        oom_killed=_read(state.oom_killed, bool) if state.oom_killed is not NULL else False,
        pid=_read(state.pid, Count) or 0,
        restarts=_read(it.restart_count, Count) if it.restart_count is not NULL else 0,
        created_at=timestamp(_read(it.created, str) or ""),
        started_at=timestamp(_read(state.started_at, str) or ""),
        restart_policy=(_read(policy.name, str) if policy else None) or "no",
        memory_limit=(_read(host.memory, Bytes) if host else None) or None,
        labels=labels,
        watchtower=_rule(it, config) if config and is_watchtower else None,
    )


def _decode_bounded(raw: bytes | Raw) -> _Inspected:
    if len(memoryview(raw)) > CONTAINER_LIMIT:
        raise ValueError(f"a container's description is larger than {CONTAINER_LIMIT // 1024} KiB")
    return msgspec.json.decode(raw, type=_Inspected)


def _read(raw: Raw, type_: type[_T], limit: int = CONTAINER_LIMIT) -> _T | None:
    """The field, or None: it is missing, invalid or larger than ``limit`` bytes."""
    if len(memoryview(raw)) > limit:
        return None
    try:
        return msgspec.json.decode(raw, type=type_)
    except (ValueError, RecursionError):
        return None


def _labels(raw: Raw) -> dict[str, str]:
    every = _read(raw, dict[str, Raw]) or {}
    known = {name: _read(every[name], str) for name in LABELS if name in every}
    return {name: value for name, value in known.items() if value is not None}


def _health(state: _State, status: str) -> str | None:
    """Its health check's status. Docker calls every container with a check unhealthy once it has ended."""
    health = _read(state.health, _Health) or _read(state.healthcheck, _Health)
    reported = _read(health.status, Text) if health else None
    return reported if status == "running" and reported != "none" else None


def _exit_code(state: _State, status: str) -> int | None:
    """How its last run ended. One that never ran has 0, unless its first start failed."""
    code = _read(state.exit_code, ExitCode) if state.exit_code is not NULL else 0
    unknown = status in ("running", "paused") or (status == "created" and code == 0)
    return None if unknown else code


def _rule(it: _Inspected, config: _Config) -> Rule:
    argv = [_read(it.path, str) or "", *(_read(it.args, list[str], ARGUMENTS_LIMIT) or ())]
    return watchtower.parse(argv, _read(config.env, list[str], ARGUMENTS_LIMIT) or ())


def timestamp(text: str) -> float | None:
    """Unix time of RFC 3339's, or None: for Go's zero time (year 1) and whatever is no time until 2100."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = when.timestamp() if when.tzinfo else 0.0
    return seconds if 0 < seconds < LATEST else None


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
