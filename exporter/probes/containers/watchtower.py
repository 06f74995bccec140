"""Which containers Watchtower updates, by the rules of containrrr's Watchtower 1.7 and of its successors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

LABEL = "com.centurylinklabs.watchtower"
ENABLE, MONITOR_ONLY, SCOPE = f"{LABEL}.enable", f"{LABEL}.monitor-only", f"{LABEL}.scope"
LABELS = (LABEL, ENABLE, MONITOR_ONLY, SCOPE)
IMAGE = re.compile(
    r"(^|/)(containrrr|nickfedor|nicholas-fedor|v2tec|centurylink|beatkind)/watchtower([:@]|$)"
)
PINNED = re.compile(r"(^|@)sha256:")  # an image of this digest: there is never another one
# Go's spellings of a boolean; Watchtower ignores others.
BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
SHORT = {"c": "cleanup", "d": "debug", "e": "label-enable", "m": "monitor-only", "x": "disable-containers"}
SHORT_SWITCHES = "cdemRSv"
# The flags that take no value. Every other one takes the next argument, unless it has one after a "=".
SWITCHES = {
    "cleanup", "debug", "disable-memory-swappiness", "enable-changelog", "enable-git-monitoring",
    "enable-lifecycle-hooks", "ephemeral-self-update", "health-check", "help", "http-api-containers",
    "http-api-metrics", "http-api-periodic-polls", "http-api-update", "include-restarting",
    "include-stopped", "label-enable", "label-take-precedence", "monitor-only", "no-color", "no-pull",
    "no-restart", "no-self-update", "no-startup-message", "notification-email-server-tls-skip-verify",
    "notification-gotify-tls-skip-verify", "notification-log-stdout", "notification-msteams-data",
    "notification-report", "notification-skip-title", "notification-split-by-container",
    "registry-tls-skip", "remove-volumes", "revive-stopped", "rolling-restart", "run-once", "tlsverify",
    "trace", "update-on-start", "use-compose-depends-on",
}  # fmt: skip
# A regular expression that could take long: repetitions multiply, and so do alternatives in groups.
REPETITION = re.compile(r"[*+?{]")
MOST_REPETITIONS, MOST_EXPRESSIONS, LONGEST_NAME = 2, 100, 256


class Rule(Struct, frozen=True):
    """What a Watchtower was told to update.

    names, expressions: containers, literally or by regular expressions; no names: every container. disabled:
    containers to leave alone. label_enable: only those that have the enable label. monitor_only: none is
    updated, unless label_precedence is set and the container's own label is false. scope: only those of this
    scope.
    """

    names: frozenset[str] = frozenset()
    expressions: Sequence[re.Pattern[str]] = ()
    disabled: frozenset[str] = frozenset()
    label_enable: bool = False
    monitor_only: bool = False
    label_precedence: bool = False
    scope: str = ""

    def watches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it asks for new images of this container."""
        enabled = BOOLEANS.get(labels.get(ENABLE, ""))
        return (
            (not self.names or self._is_named(name))
            and self.disabled.isdisjoint((name, f"/{name}"))
            and (enabled is True or (enabled is None and not self.label_enable))
            and self.scope in ("", labels.get(SCOPE) or "none")
        )

    def updates(self, name: str, labels: Mapping[str, str], image: str = "") -> bool:
        """Whether it would update this container of this image, and not only watch it."""
        own = BOOLEANS.get(labels.get(MONITOR_ONLY, ""))
        only = own if own is not None and self.label_precedence else own or self.monitor_only
        return self.watches(name, labels) and not only and not PINNED.search(image)

    def _is_named(self, name: str) -> bool:
        """Whether an argument matches the name; Watchtower accepts one that lacks the last letter."""
        path = f"/{name}"
        if not self.names.isdisjoint((name, path, name[:-1], path[:-1])):
            return True
        if len(name) > LONGEST_NAME:
            return False
        matches = (it.match(path) or it.match(path, 1) for it in self.expressions)
        return any(match is not None and match.end() >= len(path) - 1 for match in matches)


def is_watchtower(image: str, labels: Mapping[str, str]) -> bool:
    """Whether this is Watchtower itself, by its image's name or the label that it gives itself."""
    return BOOLEANS.get(labels.get(LABEL, ""), False) or bool(IMAGE.search(image))


def parse(argv: Sequence[str], environment: Iterable[str]) -> Rule:
    """Reads what a Watchtower was started with: its environment holds the defaults of its flags.

    Args:
        argv: its program and arguments; another program may start it (``tini -- /watchtower``).
        environment: ``NAME=value``.
    """
    variables = dict(entry.partition("=")[::2] for entry in environment)
    start = next((n for n, word in enumerate(argv, 1) if word.endswith("/watchtower")), 1)
    names: list[str] = []
    disabled = re.split("[, ]+", variables.get("WATCHTOWER_DISABLE_CONTAINERS", ""))
    values = {
        name: variables.get(f"WATCHTOWER_{name.upper().replace('-', '_')}", "")
        for name in ("label-enable", "monitor-only", "label-take-precedence", "scope")
    }
    switches = {name: BOOLEANS.get(value, False) for name, value in values.items()}
    own_disabled: list[str] = []
    for flag, value in _flags(argv[start:]):
        if flag == "":
            names.append(value)
        elif flag == "disable-containers":
            own_disabled += value.split(",")
        elif flag == "scope":
            values["scope"] = value
        elif flag in switches:
            switches[flag] = BOOLEANS.get(value, switches[flag])
    return Rule(
        names=frozenset(filter(None, names)),
        expressions=[it for it in map(_expression, names[:MOST_EXPRESSIONS]) if it is not None],
        disabled=frozenset(filter(None, own_disabled or disabled)),
        label_enable=switches["label-enable"],
        monitor_only=switches["monitor-only"],
        label_precedence=switches["label-take-precedence"],
        scope=values["scope"],
    )


def _flags(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each flag with its value, and each other argument under no name, as Go's pflag reads them."""
    words = iter(argv)
    for word in words:
        if word == "--":
            yield from (("", rest) for rest in words)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            yield name, value if equals else "true" if name in SWITCHES else next(words, "")
        elif word.startswith("-") and word != "-":
            yield from _short_flags(word[1:], words)
        else:
            yield "", word


def _short_flags(letters: str, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The flags of ``-ce`` or ``-ci 300``: the first one that takes a value has the rest."""
    for place, letter in enumerate(letters, 1):
        rest = letters[place:]
        name = SHORT.get(letter, letter)
        if rest.startswith("="):
            yield name, rest[1:]
            return
        if letter not in SHORT_SWITCHES:
            yield name, rest or next(words, "")
            return
        yield name, "true"


def _expression(pattern: str) -> re.Pattern[str] | None:
    """The regular expression; None for a plain name and for what is invalid, not Go's or could take long."""
    repetitions, grouped = len(REPETITION.findall(pattern)), "(" in pattern
    if (
        pattern == re.escape(pattern)
        or len(pattern) > LONGEST_NAME
        or repetitions > (1 if grouped else MOST_REPETITIONS)
        or (grouped and pattern.count("|") > MOST_REPETITIONS)
        or re.search(r"\(\?|\\[0-9]|\[\[|--|&&|~~|\|\|", pattern)
    ):
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None
