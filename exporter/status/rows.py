"""The status page's rows: a probe's state, what it found, how old that is, and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote
from xml.etree.ElementTree import Element

from exporter.engine.runner import Runner, Snapshot
from exporter.humanize import duration
from exporter.metrics.exposition import clean, printable
from exporter.probe import Note
from exporter.status.status import BAD, SIGNS, WORDS, Report, State

# What is typed, in a sentence that says what helps: `in backquotes`, or all of it where it begins like this.
TYPED = re.compile(r"`([^`]+)`|^((?:sudo|chmod|systemctl|setfacl) .*)$", re.DOTALL)
LONGEST = 600  # characters of a line; the middle of a longer one is left out


def element(tag: str, inside: str | Iterable[Element] = (), **attributes: str) -> Element:
    """An element with text or others in it, ``class_`` stands for class. What isn't printable is escaped."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    if isinstance(inside, str):
        made.text = printable(inside)
    else:
        made.extend(inside)
    return made


def sign(state: State) -> Element:
    """The state's sign, which the words beside it make superfluous for who can't see it."""
    return element("span", SIGNS[state], class_="sign", **{"aria-hidden": "true"})


def running_row(report: Report, now: float, wall: float) -> Element:
    """A probe's row, at ``now`` on the boot clock, ``wall`` in Unix time.

    Raises:
        ValueError: the report is of a kind that is off.
    """
    runner = report.runner
    if runner is None:
        raise ValueError(report.name)
    address = "/metrics?collect[]=" + quote(report.name.encode("utf-8", "surrogateescape"))
    families = runner.families(now)
    said = runner.probe.summarize(families, wall) if families else ""
    figures = [element("p", said)] if said else []
    notes = [part for note in report.notes for part in note_parts(note)]
    history = [element("p", _history(runner.snapshot, wall), class_="faint")]
    says = [*notes, *figures, *history] if report.state in BAD else [*figures, *notes]
    name = element("a", _at_slashes(clean(report.name)), href=address, title="its metrics")
    return _row(name, report.state, says, _times(runner, now))


def absent_row(names: Sequence[str], notes: Iterable[Note]) -> Element:
    """The row of kinds of probes that are off, and how to switch them on."""
    says = [part for note in notes for part in note_parts(note)]
    return _row(element("span", ", ".join(names)), "off", says)


def _row(name: Element, state: State, says: Iterable[Element], times: Element | None = None) -> Element:
    return element("li", [
        element("h3", [name]),
        element("p", [sign(state), element("span", WORDS[state])], class_="state"),
        element("div", says, class_="says"),
        *([times] if times is not None else []),
    ], class_=state)  # fmt: skip


def _times(runner: Runner, now: float) -> Element:
    """How old the figures are, how long the last run took, when the next may start."""
    facts = {"age": _age(runner, now), "took": _took(runner.snapshot), "due": _due(runner, now)}
    pairs = (
        element("div", [element("dt", term), element("dd", fact)]) for term, fact in facts.items() if fact
    )
    return element("dl", pairs, class_="times")


def _age(runner: Runner, now: float) -> str:
    last = runner.snapshot
    if last is None or not last.families:
        return ""
    return duration(now - last.found) if runner.families(now) else "too old"


def _took(last: Snapshot | None) -> str:
    return duration(last.duration) if last else ""


def _due(runner: Runner, now: float) -> str:
    if runner.in_flight is not None:
        return "when freed" if runner.stuck else "running"
    return f"in {duration(runner.due_at - now)}" if runner.due_at > now else "when asked"


def _history(last: Snapshot | None, wall: float) -> str:
    if last is None or last.last_success is None:
        return "Never worked since the exporter started."
    return f"Last worked {duration(wall - last.last_success)} ago."


def note_parts(note: Note) -> Iterator[Element]:
    """What a person should know, and below it what to do."""
    yield element("p", _shortened(note.text))
    lines = [_shortened(line) for line in note.hint.splitlines()]
    if len(lines) > 1:
        yield element("pre", (element("code", line) for line in lines))
    elif lines:
        yield element("p", _sentence(lines[0]), class_="hint")


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _at_slashes(path: str) -> Iterator[Element]:
    """A path that is broken into lines at its slashes, where there is one."""
    for part in re.findall("[^/]*/|[^/]+", path):
        yield element("span", part)
        yield element("wbr")


def _sentence(hint: str) -> Iterator[Element]:
    at = 0
    for typed in TYPED.finditer(hint):
        yield element("span", hint[at : typed.start()])
        yield element("code", typed[1] or typed[2])
        at = typed.end()
    yield element("span", hint[at:])
