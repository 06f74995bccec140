"""The status page's rows: a probe's state, its values in short, their age, and hints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote
from xml.etree.ElementTree import Element

from exporter.engine.runner import Runner, Snapshot
from exporter.humanize import duration
from exporter.metrics.exposition import clean, printable
from exporter.probe import Note
from exporter.status.status import BAD, LABELS, SIGNS, State, Status

# A command within a hint: `in backquotes`, or the whole hint where it begins like this.
COMMAND = re.compile(r"`([^`]+)`|^((?:sudo|chmod|systemctl|setfacl) .*)$", re.DOTALL)
LONGEST = 600  # characters of a line; the middle of a longer one is left out


def element(tag: str, content: str | Iterable[Element] = (), /, **attributes: str) -> Element:
    """An element of text or other elements; ``class_`` stands for class. Unprintable text is escaped."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    if isinstance(content, str):
        made.text = printable(content)
    else:
        made.extend(content)
    return made


def sign(state: State) -> Element:
    """The state's sign, hidden from screen readers: the label beside it says the same."""
    return element("span", SIGNS[state], class_="sign", **{"aria-hidden": "true"})


def running_row(status: Status, now: float, wall: float) -> Element:
    """A probe's row, at ``now`` on the boot clock, ``wall`` in Unix time.

    Raises:
        ValueError: it is the status of a kind that is off.
    """
    runner = status.runner
    if runner is None:
        raise ValueError(status.name)
    address = "/metrics?collect[]=" + quote(status.name.encode("utf-8", "surrogateescape"))
    families = runner.families(now)
    text = runner.probe.summarize(families, wall) if families else ""
    summary = [element("p", text)] if text else []
    notes = [part for note in status.notes for part in note_parts(note)]
    history = [element("p", _history(runner.snapshot, wall), class_="faint")]
    details = [*notes, *summary, *history] if status.state in BAD else [*summary, *notes]
    name = element("a", _at_slashes(clean(status.name)), href=address, title="its metrics")
    return _row(name, status.state, details, _times(runner, now))


def absent_row(names: Sequence[str], notes: Iterable[Note]) -> Element:
    """The row of kinds of probes that are off, and how to switch them on."""
    details = [part for note in notes for part in note_parts(note)]
    return _row(element("span", ", ".join(names)), "off", details)


def _row(name: Element, state: State, details: Iterable[Element], times: Element | None = None) -> Element:
    return element("li", [
        element("h3", [name]),
        element("p", [sign(state), element("span", LABELS[state])], class_="state"),
        element("div", details, class_="details"),
        *([times] if times is not None else []),
    ], class_=state)  # fmt: skip


def _times(runner: Runner, now: float) -> Element:
    """The values' age, how long the last run took, when the next may start."""
    facts = {"age": _age(runner, now), "took": _took(runner.snapshot), "due": _due(runner, now)}
    pairs = (
        element("div", [element("dt", term), element("dd", fact)]) for term, fact in facts.items() if fact
    )
    return element("dl", pairs, class_="times")


def _age(runner: Runner, now: float) -> str:
    last = runner.snapshot
    if last is None or not last.families:
        return ""
    return duration(now - last.collected_at) if runner.families(now) else "too old"


def _took(last: Snapshot | None) -> str:
    return duration(last.duration) if last else ""


def _due(runner: Runner, now: float) -> str:
    if runner.in_flight is not None:
        return "blocked" if runner.stuck else "running"
    return f"in {duration(runner.due_at - now)}" if runner.due_at > now else "next scrape"


def _history(last: Snapshot | None, wall: float) -> str:
    if last is None or last.last_success is None:
        return "Never worked since the exporter started."
    return f"Last worked {duration(wall - last.last_success)} ago."


def note_parts(note: Note) -> Iterator[Element]:
    """The note's text, and below it its hint."""
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
    for command in COMMAND.finditer(hint):
        yield element("span", hint[at : command.start()])
        yield element("code", command[1] or command[2])
        at = command.end()
    yield element("span", hint[at:])
