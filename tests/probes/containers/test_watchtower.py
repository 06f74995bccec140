import json
from typing import Any

import pytest

from exporter.probes.containers.inspect_json import Container, parse
from exporter.probes.containers.watchtower import (
    ENABLE,
    LABEL,
    is_watchtower,
    up,
    updates,
    updates_unlabelled,
)


def container(
    image: str = "nginx", status: str = "running", labels: dict[str, str] | None = None, **more: Any
) -> Container:
    """A container of this image; more: its Args and Env."""
    config = {"Image": image, "Labels": labels, "Env": more.pop("Env", None)}
    raw = {"Id": "ab" * 32, "Name": "/it", "State": {"Status": status}, "Config": config, **more}
    containers, _ = parse(json.dumps([raw]).encode())
    return containers[0]


@pytest.mark.parametrize(
    ("image", "labels", "answer"),
    [
        ("containrrr/watchtower", {}, True),
        ("containrrr/watchtower:1.7.1", {}, True),
        ("docker.io/containrrr/watchtower@sha256:00", {}, True),
        ("ghcr.io/containrrr/watchtower:latest", {}, True),
        ("nickfedor/watchtower:latest", {}, True),
        ("registry.local:5000/nickfedor/watchtower", {}, True),
        ("mine/updater", {LABEL: "true"}, True),
        ("mine/updater", {LABEL: "false"}, False),
        ("containrrr/watchtower-ui", {}, False),
        ("notcontainrrr/watchtower", {}, False),
        ("mine/watchtower", {}, False),
        ("nginx", {ENABLE: "true"}, False),
        ("", {}, False),
    ],
)
def test_is_watchtower(image: str, labels: dict[str, str], *, answer: bool) -> None:
    """Watchtower is known by its images' names, whatever registry and tag, and by the label it carries."""
    assert is_watchtower(container(image, labels=labels)) is answer


@pytest.mark.parametrize(
    ("arguments", "environment", "answer"),
    [
        (None, None, True),
        (["--cleanup", "--interval", "300"], ["PATH=/"], True),
        (["--label-enable"], None, False),
        (["--cleanup", "--label-enable", "--interval=300"], None, False),
        (["-e"], None, False),
        (["--label-enable=true"], None, False),
        (["--label-enable=false"], None, True),
        (["--label-enable=nonsense"], None, True),
        ([], ["WATCHTOWER_LABEL_ENABLE=true"], False),
        ([], ["WATCHTOWER_LABEL_ENABLE=1"], False),
        ([], ["WATCHTOWER_LABEL_ENABLE=false"], True),
        ([], ["WATCHTOWER_LABEL_ENABLE"], True),
        (["--label-enable=false"], ["WATCHTOWER_LABEL_ENABLE=true"], True),
        (["--label-enable"], ["WATCHTOWER_LABEL_ENABLE=false"], False),
    ],
)
def test_label_enable(arguments: list[str] | None, environment: list[str] | None, *, answer: bool) -> None:
    """A running Watchtower updates unlabelled containers unless a flag or its environment sets otherwise."""
    watchtower = container("containrrr/watchtower", Args=arguments, Env=environment)
    assert updates_unlabelled([container(), watchtower]) is answer


@pytest.mark.parametrize("status", ["created", "paused", "restarting", "exited", "dead"])
def test_watchtower_that_does_not_run(status: str) -> None:
    """A Watchtower that doesn't run is down and updates nothing."""
    watchtower = container("containrrr/watchtower", status)
    assert up([container(), watchtower]) is False
    assert not updates_unlabelled([container(), watchtower])


def test_one_of_two_watchtowers_suffices() -> None:
    """Of two, one that runs suffices, and one that updates everything."""
    stopped, choosy, eager = (
        container("containrrr/watchtower", "exited"),
        container("containrrr/watchtower", Args=["--label-enable"]),
        container("nickfedor/watchtower"),
    )
    assert up([stopped, choosy]) is True
    assert not updates_unlabelled([stopped, choosy])
    assert updates_unlabelled([choosy, eager])


def test_no_watchtower() -> None:
    """Where there is none, it is neither up nor down."""
    assert up([container()]) is None
    assert not updates_unlabelled([container()])


@pytest.mark.parametrize(
    ("label", "unlabelled", "answer"),
    [
        ("true", False, True),
        ("True", False, True),
        ("1", False, True),
        ("false", True, False),
        ("0", True, False),
        (None, True, True),
        (None, False, False),
        ("", True, True),
        ("yes", True, True),
        ("yes", False, False),
        (" true", False, False),
    ],
)
def test_label(label: str | None, *, unlabelled: bool, answer: bool) -> None:
    """The container's label decides in Go's spellings of a boolean; anything else counts as no label."""
    labels = {} if label is None else {ENABLE: label}
    assert updates(container(labels=labels), unlabelled=unlabelled) is answer
