"""Containers in every state that can be had, for the tests and for the recordings in tests/captures.

python -m tests.real.container_world    # records docker/ and podman/ there anew
"""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.real.dockerd import FOR_EVER, Docker, Engine, dockerd, podman

WATCH = "com.centurylinklabs.watchtower.enable"
HOSTILE = 'qu"ote\\back\nline\x01é' + "x" * 10_000
CAPTURES = Path(__file__).parent.parent / "captures"


def labels(**named: str) -> list[str]:
    """Options that give a container labels; a double underscore stands for the name of a tool's own."""
    known = {"watch": WATCH, "project": "com.docker.compose.project", "service": "com.docker.compose.service"}
    return [f"--label={known.get(name, name)}={value}" for name, value in named.items()]


def in_every_state(engine: Engine) -> None:
    """Starts containers named after how they are, and waits until they are so."""
    engine.create("created", "--restart=on-failure:3")
    engine.start("exited", "sh", "-c", "exit 7")
    engine.start(
        "plain", *FOR_EVER, options=["--memory=64m", *labels(project=HOSTILE, service="", watch="maybe")]
    )
    engine.start("paused", *FOR_EVER)
    engine("pause", "paused")
    # Its process is not there: it never starts, and leaves a code all the same.
    with contextlib.suppress(RuntimeError):
        engine.start("impossible", "/nonexistent")
    engine.wait("exited", lambda it: it["State"]["Status"] == "exited")


def in_states_of_docker(docker: Docker) -> None:
    """As above, what Docker alone does without systemd: health checks and restarts."""
    often = ("--health-interval=100ms", "--health-retries=1")
    docker.start("crashing", "false", options=["--restart=always"])
    docker.start(
        "healthy", *FOR_EVER,
        options=[
            *often, "--health-cmd=true", "--restart=unless-stopped",
            *labels(watch="true", project="ai", service="llm"),
        ],
    )  # fmt: skip
    docker.start("unhealthy", *FOR_EVER, options=[*often, "--health-cmd=false", *labels(watch="false")])
    docker.start("starting", *FOR_EVER, options=["--health-cmd=true", "--health-interval=1h"])
    docker.start("done", "sleep", "0.5", options=[*often, "--health-cmd=true"])
    docker.start("oom", "sh", "-c", "x=a; while :; do x=$x$x; done", options=["--memory=16m"])
    for name in ("healthy", "unhealthy"):
        docker.wait(name, lambda it, name=name: it["State"]["Health"]["Status"] == name)  # type: ignore[misc]
    for name in ("done", "oom"):
        docker.wait(name, lambda it: it["State"]["Status"] == "exited")
    # The pause before a restart doubles each time: now it lasts for seconds.
    docker.wait("crashing", lambda it: it["RestartCount"] >= 5 and it["State"]["Restarting"])


def record(directory: Path, engine: Sequence[str]) -> None:
    """Records the tool's output for all containers, and when one of those asked for is gone."""
    directory.mkdir(parents=True, exist_ok=True)
    ids = _keep(directory / "ps", engine, "ps", "--all", "--no-trunc", "--quiet").split()
    _keep(directory / "inspect", engine, "inspect", "--type", "container", *ids)
    _keep(directory / "gone", engine, "inspect", "--type", "container", "0" * 64, ids[0])


def _keep(name: Path, engine: Sequence[str], *arguments: str) -> str:
    env = {**os.environ, "DOCKER_CONFIG": "/nonexistent"}
    done = subprocess.run([*engine, *arguments], env=env, capture_output=True, text=True, check=False)
    for suffix, text in (("out", done.stdout), ("err", done.stderr)):
        if text:
            name.with_suffix(f".{suffix}").write_text(text)
    return done.stdout


def main() -> None:
    """Records both engines; Docker by the tool on PATH and by Debian's 20.10 where it is another."""
    with dockerd() as docker:
        in_every_state(docker)
        in_states_of_docker(docker)
        record(CAPTURES / "docker", docker.argv)
        old = ("/usr/bin/docker", *docker.argv[1:])
        docker.remove("crashing", "unhealthy", "starting", "done", "impossible", "plain")
        record(CAPTURES / "docker" / "20.10", old)
        for name, tool in (("docker", docker.argv), ("docker/20.10", old)):
            as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *tool)
            _keep(CAPTURES / name / "denied", as_nobody, "ps")
            _keep(CAPTURES / name / "down", (tool[0], "--host=unix:///nonexistent.sock"), "ps")
    with podman() as engine:
        in_every_state(engine)
        record(CAPTURES / "podman", engine.argv)
        _keep(CAPTURES / "podman" / "down", ("podman", "--url=unix:///nonexistent.sock"), "ps")


if __name__ == "__main__":
    main()
