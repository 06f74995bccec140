"""Containers of Docker or Podman: their state, what they use, and whether Watchtower updates them.

The engine's own API is asked where it listens; its command line where that is configured, or nothing listens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client.core import Metric

from exporter.metrics.families import Samples, counter, gauge
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.containers.api import HOST, Api, check_host
from exporter.probes.containers.cgroups import usage
from exporter.probes.containers.command_line import CommandLine
from exporter.probes.containers.engine import Engine, EngineDown
from exporter.probes.containers.inspect_json import COMPOSE_PROJECT, COMPOSE_SERVICE, Container, by_name
from exporter.probes.containers.summary import summarize
from exporter.system.threads import run_in_thread

ENGINE_UP = gauge("grid_container_engine_up", "Whether the container engine responds, 0 or 1 (docker ps).")
INFO = gauge(
    "grid_container_info",
    "Always 1; what the container is (docker inspect). id: its first 12 digits.",
    *("container", "id", "image", "restart_policy", "compose_project", "compose_service"),
)
STATE = gauge(
    "grid_container_state",
    "Whether the container is in this state, 0 or 1 (docker inspect).",
    "container",
    "state",
)
HEALTH = gauge(
    "grid_container_health",
    "The status of a running container's own health check, 0 or 1 each (docker inspect).",
    *("container", "health"),
)
UPDATED = gauge(
    "grid_container_watchtower_enabled",
    "Whether a running Watchtower would update the container, 0 or 1, by all of its rules (docker inspect).",
    "container",
)
MONITORED = gauge(
    "grid_container_watchtower_monitor_only",
    "Whether a running Watchtower watches the container without updating it, 0 or 1 (docker inspect).",
    "container",
)
WATCHTOWER_UP = gauge(
    "grid_watchtower_up",
    "Whether the Watchtower of this box runs, 0 or 1; absent where there is none (docker inspect).",
)
RESTARTS = counter(
    "grid_container_restarts_total",
    "How often the engine restarted the container (docker inspect).",
    "container",
)
CREATED = gauge(
    "grid_container_created_timestamp_seconds",
    "When it was created, Unix time (docker inspect).",
    "container",
)
STARTED = gauge(
    "grid_container_started_timestamp_seconds",
    "When it last started, Unix time (docker inspect).",
    "container",
)
EXIT_CODE = gauge(
    "grid_container_exit_code", "How its last run ended, while it does not run (docker inspect).", "container"
)
OOM_KILLED = gauge(
    "grid_container_oom_killed",
    "Whether the kernel killed it for want of memory, 0 or 1 (docker inspect).",
    "container",
)
CPU = counter(
    "grid_container_cpu_seconds_total", "Processor time since it started (its cgroup).", "container"
)
MEMORY = gauge(
    "grid_container_memory_bytes", "Memory in use, less inactive file cache (its cgroup).", "container"
)
MEMORY_LIMIT = gauge(
    "grid_container_memory_limit_bytes",
    "Most memory it may use; absent without a limit (docker inspect).",
    "container",
)

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("starting", "healthy", "unhealthy")
SOCKETS = ("var/run/docker.sock", "run/podman/podman.sock")
ROOTS = "set probes.containers.host: unix:///run/podman/podman.sock to see root's"
SCRIPT_LIMIT = 4096
MOST_NAMES = 10_000  # of containers that are kept while some can't be read


class Settings(Schedule, frozen=True):
    """How to ask the engine; without either, at the socket that is there, else by the command line that is.

    host: where its API listens, such as unix:///run/podman/podman.sock or a proxy's tcp://127.0.0.1:2375.
    command: its command line, such as [docker], [podman] or [docker, --context, lab]; one that only
    names an address ([docker, -H, ADDRESS]) is host: ADDRESS.
    """

    host: str | None = None
    command: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuses a command that names no program, an address that is none, and both at once."""
        super().__post_init__()
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("command must name a program, such as [docker]")
        if self.host is not None:
            try:
                check_host(self.host)
            except ValueError as error:
                raise ValueError(f"host: {error}") from None
            if self.command is not None:
                raise ValueError("set either host or command")


def _add_container(samples: Samples, name: str, container: Container) -> None:
    """Adds what the engine reports of a container."""
    samples.add(
        INFO, 1, name, container.id[:12], container.image, container.restart_policy,
        container.labels.get(COMPOSE_PROJECT, ""), container.labels.get(COMPOSE_SERVICE, ""),
    )  # fmt: skip
    samples.states(STATE, container.status, STATES, name)
    samples.states(HEALTH, container.health, HEALTHS, name)
    samples.add(RESTARTS, container.restarts, name)
    samples.add(CREATED, container.created_at, name)
    samples.add(STARTED, container.started_at, name)
    samples.add(EXIT_CODE, container.exit_code, name)
    samples.add(OOM_KILLED, container.oom_killed, name)
    samples.add(MEMORY_LIMIT, container.memory_limit, name)


class Description:
    """The families of what the engine reports: the same objects again while it reports the same."""

    def __init__(self) -> None:
        self._containers: Mapping[str, Container] = {}
        self._families: list[Metric] = []

    def __call__(self, containers: Mapping[str, Container]) -> list[Metric]:
        """The families of these containers by name."""
        if not self._families or containers != self._containers:
            self._containers, self._families = containers, describe(containers)
        return self._families


def describe(containers: Mapping[str, Container]) -> list[Metric]:
    """The families of what the engine reports of these containers by name."""
    samples = Samples()
    samples.add(ENGINE_UP, 1)
    watchtowers = [it for it in containers.values() if it.watchtower]
    rules = [it.watchtower for it in watchtowers if it.watchtower and it.status == "running"]
    samples.add(WATCHTOWER_UP, bool(rules) if watchtowers else None)
    for name, container in containers.items():
        _add_container(samples, name, container)
        updated = any(rule.updates(container.name, container.labels, container.image) for rule in rules)
        watched = any(rule.watches(container.name, container.labels) for rule in rules)
        samples.add(UPDATED, updated, name)
        samples.add(MONITORED, watched and not updated, name)
    return samples.families()


def measure(containers: Mapping[str, Container], host: Host) -> list[Metric]:
    """The families of what these containers use. Reads a few files of each one's cgroup, so for a thread."""
    samples = Samples()
    for name, container in containers.items():
        used = usage(host, container.pid, container.id)
        samples.add(CPU, used.cpu_seconds, name)
        samples.add(MEMORY, used.memory_bytes, name)
    return samples.families()


async def collect(
    engine: Engine, host: Host, description: Callable[[Mapping[str, Container]], list[Metric]] = describe
) -> Result:
    """Asks the engine for its containers and the kernel for what they use.

    Raises:
        ProbeError: the engine can't be asked, or some containers are missing; then with the others.
    """
    try:
        inspected, error = await engine.inspect_all()
    except EngineDown as down:
        return _engine_down(str(down))
    containers = by_name(inspected)
    names = [(container.id, name) for name, container in containers.items()]
    if error:  # whose containers are missing keep their names
        names = [*host.container_names.items(), *names][-MOST_NAMES:]
    host.container_names = dict(names)
    families = description(containers) + await run_in_thread(measure, containers, host)
    if error:
        raise ProbeError(error, families=families)
    return Result(families, () if inspected else _rootless_note(engine))


def _engine_down(error_message: str) -> Result:
    samples = Samples()
    samples.add(ENGINE_UP, 0)
    hint = "start it (systemctl start docker), or set probes.containers.host to where it listens"
    return Result(samples.families(), (Note(f"no container engine responds: {error_message}", hint),))


def _rootless_note(engine: Engine) -> tuple[Note, ...]:
    """Podman without a daemon shows each user only their own containers, which may well be none."""
    if not isinstance(engine, CommandLine) or len(engine.argv) > 1 or os.geteuid() == 0:
        return ()
    if not _is_podman(engine.argv[0]):
        return ()
    return (Note("podman shows this user no containers; it shows everyone only their own", ROOTS),)


def _is_podman(program: str) -> bool:
    """Whether it is podman, or the script that podman-docker installs as ``docker``."""
    path = Path(shutil.which(program) or program).resolve()
    if path.name == "podman":
        return True
    try:
        with path.open("rb") as file:
            text = file.read(SCRIPT_LIMIT)
    except OSError:
        return False
    return text.startswith(b"#!") and b"podman" in text


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe of the engine; it keeps the connection to it."""
    api: Api | None = None
    description = Description()

    async def run() -> Result:
        nonlocal api
        command = settings.command
        address = settings.host or (_address(command) if command else _socket(host))
        if address is None:
            return await collect(CommandLine(command or _program()), host, description)
        if api is None or api.host != address:
            api = Api(address, host.proc)
        return await collect(api, host, description)

    return [Probe("containers", settings, settings, run, summarize)]


def _address(command: Sequence[str]) -> str | None:
    """The address of a command that does nothing but name it, as ``docker -H tcp://127.0.0.1:2375`` does."""
    match command:
        case ["docker", "-H" | "--host", address] | ["podman", "--url", address] if HOST.fullmatch(address):
            return address
    return None


def _socket(host: Host) -> str | None:
    """Where an engine listens on this host, Docker before Podman; None where none does."""
    return next((f"unix://{path}" for name in SOCKETS if _is_socket(path := host.root / name)), None)


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # Podman's directory is closed to others
        return False


def _program() -> tuple[str]:
    return ("podman",) if shutil.which("podman") and not shutil.which("docker") else ("docker",)


async def discover(host: Host) -> Settings | Note:
    """Docker or Podman where it listens, else Podman's command line where it shows containers."""
    return _find(host)


def _find(host: Host) -> Settings | Note:
    if _socket(host):
        return Settings()
    if shutil.which("podman"):
        # Podman's first run makes a user (a service's, too) a storage, and leaves a process behind.
        own = os.path.expanduser("~/.local/share/containers")  # noqa: PTH111 - never raises
        if os.geteuid() == 0 or os.access(host.root / own.lstrip("/"), os.R_OK):
            return Settings(command=("podman",))
        return Note("podman shows everyone only their own containers, and this user has none", ROOTS)
    hint = "set probes.containers.host, such as unix:///run/user/1000/docker.sock"
    return Note("no /var/run/docker.sock and no podman on PATH", hint)


KIND = Kind("containers", Settings, build, discover)
