import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probes.containers.watchtower import (
    ENABLE,
    LABEL,
    MONITOR_ONLY,
    SCOPE,
    Rule,
    is_watchtower,
    parse,
)

ENABLED, DISABLED, MONITORED = {ENABLE: "true"}, {ENABLE: "false"}, {MONITOR_ONLY: "true"}


@pytest.mark.parametrize(
    ("image", "labels", "answer"),
    [
        ("containrrr/watchtower", {}, True),
        ("containrrr/watchtower:1.7.1", {}, True),
        ("docker.io/containrrr/watchtower@sha256:00", {}, True),
        ("ghcr.io/containrrr/watchtower:latest", {}, True),
        ("ghcr.io/nicholas-fedor/watchtower:1.12.3", {}, True),
        ("nickfedor/watchtower:latest", {}, True),
        ("v2tec/watchtower", {}, True),
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
    assert is_watchtower(image, labels) is answer


def updated(arguments: str, environment: list[str], **containers: dict[str, str]) -> str:
    """The names, sorted, of those of these containers (their labels) that such a Watchtower updates."""
    rule = parse(["/watchtower", *arguments.split()], environment)
    return " ".join(sorted(name for name, labels in containers.items() if rule.updates(name, labels)))


@pytest.mark.parametrize(
    ("arguments", "environment", "names"),
    [
        ("", [], "plain wanted"),
        ("--cleanup --interval 300 --schedule=@daily", ["PATH=/"], "plain wanted"),
        ("--label-enable", [], "wanted"),
        ("-e", [], "wanted"),
        ("-ce", [], "wanted"),
        ("-cei 300", [], "wanted"),
        ("-i300 -e", [], "wanted"),
        ("-ce=false", [], "plain wanted"),
        ("-ie", [], "plain wanted"),  # an interval of "e"
        ("--label-enable=true", [], "wanted"),
        ("--label-enable=false", [], "plain wanted"),
        ("--label-enable=nonsense", [], "plain wanted"),
        ("--scope --label-enable", [], ""),  # a scope of that name
        ("", ["WATCHTOWER_LABEL_ENABLE=true"], "wanted"),
        ("", ["WATCHTOWER_LABEL_ENABLE=1"], "wanted"),
        ("", ["WATCHTOWER_LABEL_ENABLE=yes"], "plain wanted"),
        ("", ["WATCHTOWER_LABEL_ENABLE"], "plain wanted"),
        ("--label-enable=false", ["WATCHTOWER_LABEL_ENABLE=true"], "plain wanted"),
        ("--label-enable", ["WATCHTOWER_LABEL_ENABLE=false"], "wanted"),
        ("wanted", [], "wanted"),
        ("--cleanup plain other", [], "plain"),
        ("--notification-url smtp://x plain", [], "plain"),
        ("--notification-report plain", [], "plain"),
        ("-- plain --label-enable", [], "plain"),
        ("/wanted", [], "wanted"),
        ("plain wanted unwanted", [], "plain wanted"),
        ("--label-enable plain", [], ""),
        ("-x plain", [], "wanted"),
        ("--disable-containers=plain,wanted", [], ""),
        ("-x plain -x wanted", [], ""),
        ("", ["WATCHTOWER_DISABLE_CONTAINERS=plain other"], "wanted"),
        ("", ["WATCHTOWER_DISABLE_CONTAINERS=other,wanted"], "plain"),
        ("-x plain", ["WATCHTOWER_DISABLE_CONTAINERS=wanted"], "wanted"),
        ("--monitor-only", [], ""),
        ("-m", [], ""),
        ("", ["WATCHTOWER_MONITOR_ONLY=true"], ""),
    ],
)
def test_arguments_and_environment(arguments: str, environment: list[str], names: str) -> None:
    """Flags, combined short flags, names and the environment decide as in Watchtower; flags come last."""
    containers = {"plain": {}, "wanted": ENABLED, "unwanted": DISABLED}
    assert updated(arguments, environment, **containers) == names


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("", "inside none plain"),
        ("--scope outline", "inside"),
        ("--scope=none", "none plain"),
        ("--scope other", ""),
    ],
)
def test_scope(arguments: str, names: str) -> None:
    """A Watchtower with a scope updates what has the same; ``none`` is the scope of those without."""
    containers = {"plain": {}, "inside": {SCOPE: "outline"}, "none": {SCOPE: "none"}}
    assert updated(arguments, [], **containers) == names


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("", "auto plain"),
        ("--monitor-only", ""),
        ("--monitor-only --label-take-precedence", "auto"),
        ("--label-take-precedence", "auto plain"),
    ],
)
def test_monitor_only(arguments: str, names: str) -> None:
    """A label or flag makes a container watched and not updated; the label counts where it has precedence."""
    containers = {"plain": {}, "auto": {MONITOR_ONLY: "false"}, "monitored": MONITORED}
    assert updated(arguments, [], **containers) == names
    rule = parse(["/watchtower", *arguments.split()], [])
    assert all(rule.watches(name, labels) for name, labels in containers.items())


@pytest.mark.parametrize(
    ("label", "label_enable", "answer"),
    [
        ("true", True, True),
        ("True", True, True),
        ("1", True, True),
        ("false", False, False),
        ("0", False, False),
        ("", False, True),
        ("yes", False, True),
        ("yes", True, False),
        (" true", True, False),
    ],
)
def test_enable_label(label: str, *, label_enable: bool, answer: bool) -> None:
    """The label decides in Go's spellings of a boolean; anything else counts as no label."""
    rule = parse(["/watchtower", f"--label-enable={label_enable}"], [])
    assert rule.updates("it", {ENABLE: label}) is answer


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web-.*", "web-1 web-22"),
        ("^web-[0-9]+$", ""),  # the name that it is matched with begins with a slash
        ("^/web-[0-9]+$", "web-1 web-22"),
        ("web-1|db", "db web-1"),
        ("web-(1|22)", "web-1 web-22"),
        ("web", ""),
        ("web-2", "web-22"),  # so Watchtower has it: the last letter may be missing
        ("eb-1", ""),
        ("(", ""),
    ],
)
def test_names_as_regular_expressions(pattern: str, names: str) -> None:
    """An argument may be a regular expression that matches the name as a whole."""
    assert updated(pattern, [], **{"web-1": {}, "web-22": {}, "db": {}}) == names


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)(a|a)(a|a)(a|a)b", "a?" * 100 + "a" * 100, ".*.*.*.*b", "a*a*b", "x" * 10_000]
)
def test_regular_expression_without_end(pattern: str) -> None:
    """A pattern that would take for ever is none, and what is left is quick."""
    rule = parse(["/watchtower", pattern], [])
    before = time.process_time()
    assert not rule.updates("a" * 250, {})
    assert time.process_time() - before < 1


@settings(max_examples=200)
@given(
    st.lists(st.text() | st.sampled_from(["--", "-", "-x", "-ce", "--scope", "--a=b"])), st.lists(st.text())
)
def test_any_arguments(arguments: list[str], environment: list[str]) -> None:
    """Whatever a Watchtower is started with, there is a rule, and what it updates it watches."""
    rule = parse(arguments, environment)
    for name in ("a", *arguments):
        assert rule.watches(name, {}) or not rule.updates(name, {})


@pytest.mark.parametrize(
    ("image", "answer"),
    [("nginx", True), ("nginx:1@sha256:00", False), (f"sha256:{'0' * 64}", False), ("x/sha256:1", True)],
)
def test_an_image_pinned_by_digest_is_watched_only(image: str, *, answer: bool) -> None:
    """No newer image has that digest, and of one without a name Watchtower can't ask."""
    assert Rule().watches("it", {})
    assert Rule().updates("it", {}, image) is answer


def test_started_by_another_program() -> None:
    """Arguments before the program's own name are another's."""
    assert parse(["tini", "--", "/watchtower", "-e"], []).label_enable
    assert not re.search("watchtower", " ".join(parse(["tini", "--", "/watchtower", "-e"], []).names))
