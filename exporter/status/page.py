"""The status page: for the person who has just installed the exporter, or wonders what it can't see.

It is built as a tree, which escapes whatever is put in: no name from outside can become markup. Probes that
need a person come first, then those that work, then what is not watched here.
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
from exporter.status.status import BAD, SIGNS, Report, State, reports

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
BOX = platform.node()
LINKS = {"/metrics": "Metrics", "/-/healthy": "Healthy", "/-/ready": "Ready"}
# The tab's picture, so that trouble shows in a row of tabs: a disc with the state's sign.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<circle cx="16" cy="16" r="16" fill="{colour}"/>'
    '<text x="16" y="23" font-size="20" text-anchor="middle" fill="#fff">{sign}</text></svg>'
)
COLOURS: dict[State, str] = {"works": "#1f7a3f", "noted": "#9a5b00", "fails": "#b3261e"}


# What needs a person comes first. Probes that work stay in the order of the configuration.
SECTIONS: dict[str, tuple[State, ...]] = {
    "Look here": ("stuck", "fails", "noted"),
    "Working": ("works", "starting"),
}
CONFIGURE = (
    "What stands in a box of its own goes into a configuration file, named by --config.file. "
    "With one, only what it names is watched."
)
FAULTY = Note(
    "The configuration on disk is faulty and not in force; the one before it is.",
    "see the log, or what `grid-exporter --config.file FILE check-config` says",
)


def status_page(exporter: Exporter) -> bytes:
    """The whole page, UTF-8."""
    found = reports(exporter)
    state, verdict = _verdict([report.state for report in found if report.runner], exporter)
    body = element("body", [_header(exporter, state, verdict), element("main", _sections(found, exporter))])
    page = element("html", [_head(state), body], lang="en")
    markup: bytes = tostring(page, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + markup


def _head(state: State) -> Element:
    style, title = Element("style"), Element("title")
    style.text, title.text = STYLE, f"{SIGNS[state]} {BOX}: grid-exporter"
    icon = ICON.format(colour=COLOURS[state], sign=SIGNS[state])
    return element("head", [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        title,
        element("link", rel="icon", href=f"data:image/svg+xml,{quote(icon)}"),
        style,
    ])  # fmt: skip


def _verdict(states: list[State], exporter: Exporter) -> tuple[State, str]:
    """How all probes fare together, in a state and a sentence."""
    bad, noted, first = sum(state in BAD for state in states), states.count("noted"), states.count("starting")
    if not states:
        told = "Nothing is watched yet."
    elif len(states) == states.count("works"):
        told = f"All {len(states)} probes work." if len(states) > 1 else "The one probe works."
    else:
        parts = {
            "can't find out": bad,
            "works, but look" if noted == 1 else "work, but look": noted,
            "in the first run": first,
        }
        told = "; ".join(f"{count} {words}" for words, count in parts.items() if count)
        told = told.replace(" ", f" of {pluralize(len(states), 'probe')} ", 1) + "."
    if bad or not exporter.own.reload.successful:
        return "fails", told
    return "noted" if noted or not states else "works", told


def _header(exporter: Exporter, state: State, verdict: str) -> Element:
    moment = time.gmtime()
    said = [element("p", [sign(state), element("span", verdict)], class_=f"verdict {state}")]
    if not exporter.own.reload.successful:
        said += note_parts(FAULTY)
    links = (element("li", [element("a", text, href=href)]) for href, text in LINKS.items())
    return element("header", [
        element("h1", f"grid-exporter on {BOX}"),
        *said,
        element("p", [
            element("span", f"Version {__version__} serves {exporter.plan.source}, as of "),
            element("time", time.strftime("%H:%M:%S UTC", moment), datetime=time.strftime("%FT%TZ", moment)),
            element("span", ". Reload the page for newer figures."),
        ], class_="faint"),
        element("nav", [element("ul", links)], **{"aria-label": "Endpoints"}),
    ])  # fmt: skip


def _sections(found: list[Report], exporter: Exporter) -> Iterator[Element]:
    """The parts of the page that have something in them."""
    now = exporter.cache.clock(), time.time()
    for title, states in SECTIONS.items():
        if rows := [
            running_row(report, *now) for state in states for report in found if report.state == state
        ]:
            yield _section(title, rows)
    off: dict[tuple[Note, ...], list[str]] = {}
    for report in found:
        if report.runner is None:
            off.setdefault(report.notes, []).append(report.name)
    if off:
        section = _section("Not watched here", (absent_row(names, notes) for notes, names in off.items()))
        if any("\n" in note.hint for notes in off for note in notes):
            section.insert(1, element("p", CONFIGURE, class_="faint"))
        yield section


def _section(title: str, rows: Iterable[Element]) -> Element:
    return element("section", [element("h2", title), element("ul", rows, class_="rows")])
