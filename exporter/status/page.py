"""The status page: every probe's state, its values in short, and what to do about a failure.

It is built as a tree, which escapes whatever is put in: no name from outside can become markup. Probes that
need attention come first, then those that work, then the kinds that are off.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element, tostring

from exporter import __version__
from exporter.engine.exporter import Exporter
from exporter.humanize import pluralize
from exporter.probe import Note
from exporter.status.rows import absent_row, element, note_parts, running_row, sign
from exporter.status.status import BAD, SIGNS, State, Status, statuses

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
HOSTNAME = platform.node()
LINKS = {"/metrics": "Metrics", "/-/healthy": "Healthy", "/-/ready": "Ready"}
# The tab's icon, a disc with the state's sign: a failure shows in a row of tabs.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<circle cx="16" cy="16" r="16" fill="{colour}"/>'
    '<text x="16" y="23" font-size="20" text-anchor="middle" fill="#fff">{sign}</text></svg>'
)
COLOURS: dict[State, str] = {"ok": "#1f7a3f", "warning": "#9a5b00", "failing": "#b3261e"}


# Within a state, probes stay in the order of the configuration.
SECTIONS: dict[str, tuple[State, ...]] = {
    "Needs attention": ("stuck", "failing", "warning"),
    "Working": ("ok", "starting"),
}
CONFIGURE = (
    "The snippets below belong in a configuration file, given by --config.file. "
    "With one, only what it names is monitored."
)
REFUSED = Note(
    "The new configuration was refused; the one before it stays active.",
    "see the log, or run `grid-exporter --config.file FILE check-config`",
)


def status_page(exporter: Exporter) -> bytes:
    """The whole page, UTF-8."""
    rows = statuses(exporter)
    state, verdict = _verdict([row.state for row in rows if row.runner], exporter)
    body = element("body", [_header(exporter, state, verdict), element("main", _sections(rows, exporter))])
    page = element("html", [_head(state), body], lang="en")
    markup: bytes = tostring(page, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + markup


def _head(state: State) -> Element:
    style, title = Element("style"), Element("title")
    style.text, title.text = STYLE, f"{SIGNS[state]} {HOSTNAME}: grid-exporter"
    icon = ICON.format(colour=COLOURS[state], sign=SIGNS[state])
    return element("head", [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        title,
        element("link", rel="icon", href=f"data:image/svg+xml,{quote(icon)}"),
        style,
    ])  # fmt: skip


def _verdict(states: list[State], exporter: Exporter) -> tuple[State, str]:
    """The state of all probes together, and a sentence that says so."""
    failing, warnings = sum(state in BAD for state in states), states.count("warning")
    counts = {"failing": failing, "with a warning": warnings, "in the first run": states.count("starting")}
    if not states:
        sentence = "Nothing is monitored yet."
    elif not any(counts.values()):
        sentence = f"All {len(states)} probes work." if len(states) > 1 else "The one probe works."
    else:
        parts = (f"{count} {words}" for words, count in counts.items() if count)
        sentence = f"{pluralize(len(states), 'probe')}: {', '.join(parts)}."
    if failing or not exporter.own.reload.successful:
        return "failing", sentence
    return "warning" if warnings or not states else "ok", sentence


def _header(exporter: Exporter, state: State, verdict: str) -> Element:
    moment = time.gmtime()
    message = [element("p", [sign(state), element("span", verdict)], class_=f"verdict {state}")]
    if not exporter.own.reload.successful:
        message += note_parts(REFUSED)
    links = (element("li", [element("a", text, href=href)]) for href, text in LINKS.items())
    return element("header", [
        element("h1", f"grid-exporter on {HOSTNAME}"),
        *message,
        element("p", [
            element("span", f"Version {__version__} serves {exporter.plan.source}, as of "),
            element("time", time.strftime("%H:%M:%S UTC", moment), datetime=time.strftime("%FT%TZ", moment)),
            element("span", ". Reload the page for newer values."),
        ], class_="faint"),
        element("nav", [element("ul", links)], **{"aria-label": "Endpoints"}),
    ])  # fmt: skip


def _sections(listed: list[Status], exporter: Exporter) -> Iterator[Element]:
    """The sections of the page that are not empty."""
    now = exporter.cache.clock(), time.time()
    for title, states in SECTIONS.items():
        if rows := [
            running_row(status, *now) for state in states for status in listed if status.state == state
        ]:
            yield _section(title, rows)
    off: dict[tuple[Note, ...], list[str]] = {}
    for status in listed:
        if status.runner is None:
            off.setdefault(status.notes, []).append(status.name)
    if off:
        section = _section("Not monitored", (absent_row(names, notes) for notes, names in off.items()))
        if any("\n" in note.hint for notes in off for note in notes):
            section.insert(1, element("p", CONFIGURE, class_="faint"))
        yield section


def _section(title: str, rows: Iterable[Element]) -> Element:
    return element("section", [element("h2", title), element("ul", rows, class_="rows")])
