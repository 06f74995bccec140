"""Which containers Watchtower updates, by Watchtower's own rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from exporter.probes.containers.inspect_json import Container

LABEL = "com.centurylinklabs.watchtower"
ENABLE = f"{LABEL}.enable"
IMAGE = re.compile(r"(^|/)(containrrr|nickfedor)/watchtower([:@]|$)")
# Go's spellings of a boolean; Watchtower takes anything else for nothing.
BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def is_watchtower(container: Container) -> bool:
    """Whether this is Watchtower itself, by its image's name or the label that it gives itself."""
    return BOOLEANS.get(container.labels.get(LABEL, ""), False) or bool(IMAGE.search(container.config.image))


def up(containers: Iterable[Container]) -> bool | None:
    """Whether the Watchtower among these runs, or None: there is none."""
    states = [container.status for container in containers if is_watchtower(container)]
    return "running" in states if states else None


def updates_unlabelled(containers: Iterable[Container]) -> bool:
    """Whether a Watchtower runs that updates every container not labelled otherwise."""
    return any(is_watchtower(c) and c.status == "running" and not _label_enable(c) for c in containers)


def updates(container: Container, *, unlabelled: bool) -> bool:
    """Whether Watchtower updates this container. unlabelled: what becomes of one without a label."""
    return BOOLEANS.get(container.labels.get(ENABLE, ""), unlabelled)


def _label_enable(watchtower: Container) -> bool:
    """Whether it updates labelled containers only. Its last argument counts, the environment below all."""
    enabled = False
    for value in _label_enable_words(watchtower):
        enabled = BOOLEANS.get(value, enabled)
    return enabled


def _label_enable_words(watchtower: Container) -> Iterator[str]:
    for variable in watchtower.config.env or ():
        name, _, value = variable.partition("=")
        if name == "WATCHTOWER_LABEL_ENABLE":
            yield value
    for argument in watchtower.args or ():
        flag, equals, value = argument.partition("=")
        if flag in ("--label-enable", "-e"):
            yield value if equals else "true"
