"""The status page: for the person who has just installed the exporter, or wonders what it can't see.

The page is built as a tree, which escapes whatever is put in: no name from outside can become markup.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element, tostring

from exporter import __version__
from exporter.core import Exporter
from exporter.headline import headline
from exporter.probe import Note
from exporter.report import WORDS, Report, printable, reports
from exporter.runner import Runner, Snapshot

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LINKS = {"/metrics": "metrics", "/-/healthy": "healthy", "/-/ready": "ready"}


def status_page(exporter: Exporter) -> bytes:
    """The whole page, UTF-8."""
    found = reports(exporter)
    running = [report for report in found if report.runner is not None]
    absent = [report for report in found if report.runner is None]
    body = _el(
        "body", [_header(exporter, running), _section("Probes", (_card(r, exporter) for r in running))]
    )
    if absent:
        body.append(_section("Not watched here", (_absent(report) for report in absent)))
    page = _el("html", [_head(running), body], lang="en")
    markup: bytes = tostring(page, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + markup


def _el(tag: str, inside: str | Iterable[Element] = (), **attributes: str) -> Element:
    """An element; ``class_`` stands for class. Text loses what isn't printable."""
    element = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    if isinstance(inside, str):
        element.text = printable(inside)
    else:
        element.extend(inside)
    return element


def _head(running: list[Report]) -> Element:
    style = Element("style")
    style.text = STYLE
    bad = sum(report.state in {"fails", "stuck"} for report in running)
    title = f"grid-exporter: {bad} failing" if bad else "grid-exporter"
    viewport = _el("meta", name="viewport", content="width=device-width, initial-scale=1")
    return _el("head", [_el("meta", charset="utf-8"), viewport, _el("title", title), style])


def _header(exporter: Exporter, running: list[Report]) -> Element:
    failing = [report.name for report in running if report.state in {"fails", "stuck"}]
    noted = [report.name for report in running if report.state == "noted"]
    verdict = f"Can't find out: {', '.join(failing)}." if failing else "Every probe works."
    verdict += f" Look at: {', '.join(noted)}." if noted else ""
    links = (_el("li", [_el("a", text, href=href)]) for href, text in LINKS.items())
    source = f"Version {__version__}, serving {exporter.plan.source}."
    if not exporter.own.reload.successful:
        source += " The configuration on disk is faulty and was not taken: see the log."
    return _el("header", [
        _el("h1", "grid-exporter"),
        _el("p", verdict, class_=f"verdict {'fails' if failing else 'noted' if noted else 'works'}"),
        _el("p", source, class_="faint"),
        _el("nav", [_el("ul", links)], **{"aria-label": "Endpoints"}),
    ])  # fmt: skip


def _section(title: str, cards: Iterable[Element]) -> Element:
    return _el("section", [_el("h2", title), _el("ul", cards, class_="cards")])


def _card(report: Report, exporter: Exporter) -> Element:
    runner = report.runner
    if runner is None:
        raise ValueError(report.name)
    now = exporter.cache.clock()
    link = _el(
        "a", report.name, href="/metrics?collect[]=" + quote(report.name.encode("utf-8", "surrogateescape"))
    )
    head = _el("div", [_el("h3", [link]), _el("span", WORDS[report.state], class_="state")], class_="head")
    parts = [head]
    if said := headline(runner.probe.kind, runner.families(now)):
        parts.append(_el("p", said))
    if runner.snapshot is not None:
        parts.append(_el("p", _timing(runner, runner.snapshot, now), class_="faint"))
    parts += (_note(note) for note in report.notes)
    return _el("li", parts, class_=f"card {report.state}")


def _timing(runner: Runner, last: Snapshot, now: float) -> str:
    """When the figures were found, how long that took, when the next run may start; why they are missing."""
    facts = [f"took {span(last.duration)}"]
    if not last.success:
        since = (
            f"last worked {span(time.time() - last.last_success)} ago"
            if last.last_success
            else "never worked yet"
        )
        facts.append(since)
    if runner.families(now):
        facts.insert(0, f"figures {span(now - last.found)} old")
    elif last.families:
        facts.insert(0, "figures too old to show")
    if runner.flight is not None:
        facts.append("running now")
    else:
        facts.append(
            f"due in {span(runner.due_at - now)}" if runner.due_at > now else "due at the next scrape"
        )
    return ", ".join(facts)


def _absent(report: Report) -> Element:
    head = _el("div", [_el("h3", report.name), _el("span", WORDS["off"], class_="state")], class_="head")
    return _el("li", [head, *(_note(note) for note in report.notes)], class_="card off")


def _note(note: Note) -> Element:
    parts = [_el("span", note.text)]
    if note.mend:
        parts += (_el("code", line) for line in note.mend.splitlines())
    return _el("div", parts, class_="note")


def span(seconds: float) -> str:
    """A length of time as a person says it: ``40 ms``, ``12 s``, ``3 min``, ``5 h``, ``2 days``."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004 - two digits are enough
