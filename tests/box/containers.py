"""The containers of a fake box: what inspect reports of each, and the kernel's files of those that run."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.box.engine import use
from tests.box.files import CAPTURES, put

GIB = 1 << 30
FIRST_PID = 40_000
TEMPLATE = "/healthy"  # of the recorded containers, the one that every container of a box is made from
WATCHTOWER = "com.centurylinklabs.watchtower.enable"
NEVER = "0001-01-01T00:00:00Z"  # Go's zero time


class Container(NamedTuple):
    """A container that a box is born with. cores: the mean of what it uses. memory: bytes, the most of it."""

    name: str
    image: str
    cores: float
    memory: float
    project: str = ""
    limit: int = 0
    checked: bool = True
    restart: str = "unless-stopped"


USUAL = (
    Container("ollama", "ollama/ollama:0.33.0", 1.4, 9 * GIB, "llm", 16 * GIB),
    Container("vllm", "vllm/vllm-openai:v0.33.0", 2.2, 11 * GIB, "llm", 32 * GIB),
    Container("open-webui", "ghcr.io/open-webui/open-webui:v0.6.34", 0.2, 1.2 * GIB, "llm", 4 * GIB),
    Container("litellm", "ghcr.io/berriai/litellm:v1.79.0", 0.15, 0.6 * GIB, "llm"),
    Container("comfyui", "local/comfyui:2026-10", 0.9, 7 * GIB, "images", 24 * GIB),
    Container("whisper", "onerahmet/openai-whisper-asr-webservice:v1.9.1", 0.3, 2 * GIB, "speech"),
    Container("qdrant", "qdrant/qdrant:v1.15.5", 0.1, 1.5 * GIB, "search"),
    Container("searxng", "searxng/searxng:2026.11.2", 0.05, 0.3 * GIB, "search"),
    Container("postgres", "postgres:17", 0.08, 0.8 * GIB, "data", 2 * GIB),
    Container("redis", "redis:8", 0.02, 0.1 * GIB, "data", checked=False),
    Container("caddy", "caddy:2.10", 0.03, 0.06 * GIB, "", checked=False),
    Container("watchtower", "containrrr/watchtower:1.7.1", 0.01, 0.03 * GIB, "", checked=False),
    Container("backup", "restic/restic:0.18.1", 0.0, 0.0, "data", checked=False, restart="no"),
)


def chosen(count: int) -> list[Container]:
    """So many containers: the usual ones first, then others of their kind."""
    more = [USUAL[n % 9]._replace(name=f"worker-{n}") for n in range(len(USUAL), count)]
    return [*USUAL[:count], *more]


def full_id(name: str) -> str:
    """A container's id, which its name decides here."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def pid(identity: str) -> int:
    """The main process of a container that runs, which its id decides here."""
    return FIRST_PID + int(identity[:7], 16)


def born(box: Path, containers: list[Container], moment: float) -> None:
    """Puts the containers into the box, all well; those without a core to use have ended as they should."""
    for folder in ("docker/containers", "docker/living", "cgroup/system.slice"):
        (box / folder).mkdir(parents=True)
    recorded = json.loads((CAPTURES / "docker/inspect.out").read_text("utf-8"))
    template = json.dumps(next(it for it in recorded if it["Name"] == TEMPLATE))
    for number, container in enumerate(containers):
        started = moment - 86400 * (1 + number % 9)
        inspected = _described(json.loads(template), container, started)
        _running(box, inspected, container, started)
        if not container.cores:
            alter(inspected, status="exited", started=moment - 5 * 3600)
        save(box, inspected)


def _described(inspected: dict[str, Any], container: Container, started: float) -> dict[str, Any]:
    """What inspect reports of the container, made from the recorded one."""
    inspected |= {
        "Id": full_id(container.name),
        "Name": f"/{container.name}",
        "Created": _text(started - 86400),
    }
    inspected["State"] |= {"Pid": pid(inspected["Id"]), "StartedAt": _text(started), "FinishedAt": NEVER}
    inspected["Config"] |= {
        "Image": container.image,
        "Hostname": inspected["Id"][:12],
        "Labels": _labels(container),
    }
    inspected |= {"Path": f"/{container.name}", "Args": []}
    inspected["HostConfig"] |= {
        "Memory": container.limit,
        "RestartPolicy": {"Name": container.restart, "MaximumRetryCount": 0},
    }
    if container.checked:
        inspected["State"]["Health"] = {"Status": "healthy", "FailingStreak": 0, "Log": []}
    else:
        del inspected["State"]["Health"]
    return inspected


def _labels(container: Container) -> dict[str, str]:
    compose = {"project": container.project, "service": container.name} if container.project else {}
    return {f"com.docker.compose.{key}": value for key, value in compose.items()}


def _running(box: Path, inspected: dict[str, Any], container: Container, started: float) -> None:
    """The container's cgroup. Only the usual containers' values move: a thousand would cost too much."""
    scope = f"system.slice/docker-{inspected['Id']}.scope"
    put(box / "proc" / str(inspected["State"]["Pid"]) / "cgroup", f"0::/{scope}\n")
    group = box / "cgroup" / scope
    group.mkdir()
    if container in USUAL:
        moving = f"{container.cores} {container.memory:.0f} {started:.0f} {group}\n"
        put(box / "docker/living" / inspected["Id"], moving)
    else:
        use(str(group), 3600 * container.cores, container.memory)


def load(box: Path, name: str) -> dict[str, Any]:
    """What inspect reports of a container.

    Raises:
        FileNotFoundError: the box has none of this name.
    """
    inspected: dict[str, Any] = json.loads((box / "docker/containers" / full_id(name)).read_text("utf-8"))
    return inspected


def save(box: Path, inspected: dict[str, Any]) -> None:
    """Has inspect report this from now on, indented as docker does."""
    put(box / "docker/containers" / inspected["Id"], json.dumps(inspected, indent=4))


def alter(
    inspected: dict[str, Any],
    *,
    status: str | None = None,
    health: str | None = None,
    exit_code: int | None = None,
    oom: bool | None = None,
    restarts: int | None = None,
    started: float | None = None,
    watched: bool | None = None,
) -> None:
    """Changes how a container is; what isn't given stays. started: Unix time. watched: by Watchtower."""
    state = inspected["State"]
    if status is not None:
        flags = ("Running", "Paused", "Restarting", "Dead")
        state |= {"Status": status, **{flag: status == flag.lower() for flag in flags}}
        state["Pid"] = pid(inspected["Id"]) if status in ("running", "paused") else 0
    if health is not None:
        state["Health"] = {"Status": health, "FailingStreak": 3 * (health == "unhealthy"), "Log": []}
    given = {"ExitCode": exit_code, "OOMKilled": oom, "StartedAt": started and _text(started)}
    state |= {key: value for key, value in given.items() if value is not None}
    if restarts is not None:
        inspected["RestartCount"] = restarts
    if watched is not None:
        inspected["Config"]["Labels"][WATCHTOWER] = str(watched).lower()


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
