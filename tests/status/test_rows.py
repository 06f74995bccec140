import asyncio
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.engine.runner import Runner, Snapshot
from exporter.metrics.exposition import LABEL_LIMIT, render
from exporter.probe import Duration, Note, Probe, Result, Schedule
from exporter.probes.host import summarize
from exporter.status.rows import LONGEST, absent_row, element, note_parts, running_row
from exporter.status.status import State, Status
from tests.scene import HOST, TOR_OFF, result

NOW, WALL = 5000.0, 1e9
METRICS = render(result(HOST).families)


async def nothing() -> Result:
    return Result([])


def runner(name: str = "host", snapshot: Snapshot | None = None) -> Runner:
    """A probe's runner with its last run's snapshot."""
    schedule = Schedule(ttl=Duration(60), wait=Duration(0), timeout=Duration(30))
    return Runner(Probe(name, schedule, None, nothing, summarize), lambda: None, lambda: NOW, snapshot)


def left(ago: float = 10, *, success: bool = True, age: float | None = 12) -> Snapshot:
    """What a run of 2 s left that ended so long ago; age: its values', None where there are none."""
    return Snapshot(
        families=METRICS if age is not None else {}, collected_at=NOW - (age or 0), success=success,
        started=WALL - ago - 2, last_success=WALL - (age or 0) if age else None,
        finished_at=NOW - ago, duration=2,
    )  # fmt: skip


def row(of: Runner, state: State = "ok", *notes: Note) -> dict[str, str]:
    """The text of a row's parts: its name, its state, its details, and each of its times."""
    made = running_row(Status(of.probe.name, state, notes, of), NOW, WALL)
    name, label, details = made[:3]
    times = {"".join(pair[0].itertext()): "".join(pair[1].itertext()) for pair in made[3]}
    return {"name": text(name), "state": text(label), "details": "|".join(map(text, details)), **times}


def text(part: Element) -> str:
    return "".join(part.itertext())


def test_a_probe_that_works() -> None:
    """Its state, its values, how old they are, how long the run took, when the next is due."""
    assert row(runner(snapshot=left())) == {
        "name": "host",
        "state": "✓OK",
        "details": "memory 38% of 68.7 GB, swap 12%, load 1.73 on 16 CPUs, up 0 ms",
        "age": "12 s",
        "took": "2.0 s",
        "due": "in 50 s",
    }


def test_a_failing_probe() -> None:
    """The reason and the hint come first, then the values that there still are, and since when it fails."""
    failed = row(runner(snapshot=left(success=False, age=90)), "failing", Note("it is broken", "fix it"))
    assert failed["state"] == "✗failing"
    reason, hint, summary, history = failed["details"].split("|")
    assert (reason, hint, history) == ("it is broken", "fix it", "Last worked 90 s ago.")
    assert summary.startswith("memory")
    assert failed["age"] == "90 s"


def test_values_that_are_too_old_are_not_shown() -> None:
    """After 3 ttl and the timeout they are gone from the page as from the scrape."""
    failed = row(runner(snapshot=left(success=False, age=211)), "failing", Note("it is broken"))
    assert failed["details"] == "it is broken|Last worked 4 min ago."
    assert failed["age"] == "too old"


def test_a_probe_that_never_worked() -> None:
    """Without values there is no age."""
    failed = row(runner(snapshot=left(success=False, age=None)), "failing", Note("it is broken"))
    assert failed["details"] == "it is broken|Never worked since the exporter started."
    assert "age" not in failed


def test_a_first_run() -> None:
    """It has taken no time yet, and nothing was found."""
    starting = row(runner(), "starting")
    assert starting == {
        "name": "host",
        "state": "…first run in progress",
        "details": "",
        "due": "next scrape",
    }


async def test_when_the_next_run_is_due() -> None:
    """In so long; at the next scrape; not while one runs or can't be killed."""
    one = runner(snapshot=left(ago=100))
    assert row(one)["due"] == "next scrape"
    one.in_flight = asyncio.create_task(asyncio.sleep(0))
    assert row(one)["due"] == "running"
    one.stuck = True
    assert row(one)["due"] == "blocked"
    await one.in_flight


def test_what_is_off() -> None:
    """Kinds with the same note share a row, and a piece of configuration keeps its lines."""
    made = absent_row(["tor", "aide"], [TOR_OFF])
    assert text(made[0]) == "tor, aide"
    assert text(made[1]) == "-off"
    assert [text(line) for line in made[2][1]] == ["probes:", "  tor:", '    socks: "127.0.0.1:9050"']
    with pytest.raises(ValueError, match="tor"):
        running_row(Status("tor", "off"), NOW, WALL)


@pytest.mark.parametrize(
    ("hint", "commands"),
    [
        ("see `ps`, then `kill 1`.", ["ps", "kill 1"]),
        ("sudo chmod 640 /x", ["sudo chmod 640 /x"]),
        ("setfacl -m u:x:rX /a && setfacl -m u:x:rX /b", ["setfacl -m u:x:rX /a && setfacl -m u:x:rX /b"]),
        ("install curl, or see that it is on PATH", []),
        ("an odd ` one", []),
    ],
)
def test_commands_in_a_hint_are_marked(hint: str, commands: list[str]) -> None:
    """Text in backquotes, and a hint that begins with a known command; no text is lost."""
    _, sentence = note_parts(Note("it is broken", hint))
    assert [part.text for part in sentence.iter("code")] == commands
    assert text(sentence) == (hint.replace("`", "") if commands else hint)


def test_a_long_reason_keeps_both_ends() -> None:
    """A long name does not fill the page, and the end of the reason is kept."""
    (reason,) = note_parts(Note("/" + "x" * 10_000 + " can't be read"))
    assert text(reason).startswith("/xxx")
    assert text(reason).endswith("x can't be read")
    assert len(text(reason)) < LONGEST + 4


def test_a_name_that_is_no_text_links_to_its_metrics() -> None:
    """The link asks for the very bytes of the name, whatever is shown of it."""
    of = runner("disk:/\udcff&?#%/é")
    made = running_row(Status(of.probe.name, "ok", (), of), NOW, WALL)
    link = made[0][0]
    assert link.get("href") == "/metrics?collect[]=disk%3A/%FF%26%3F%23%25/%C3%A9"
    assert text(link) == r"disk:/\xff&?#%/é"


@given(st.text(), st.text(), st.text())
def test_any_note_becomes_text(name: str, reason: str, hint: str) -> None:
    """No character goes into the tree that a page should not hold, and a name keeps its usual limit."""
    of = runner(f"disk:{name}", left(success=False))
    made = running_row(Status(of.probe.name, "failing", (Note(reason, hint),), of), NOW, WALL)
    assert all(part.isprintable() for part in made.itertext())
    assert len(text(made[0])) <= LABEL_LIMIT
    assert tostring(made, encoding="utf-8", method="html")


@given(st.text())
def test_text_cannot_become_markup(hostile: str) -> None:
    """What an element is given as text comes out escaped, in it and in its attributes."""
    markup = tostring(element("p", hostile, title=hostile), encoding="unicode", method="html")
    inside = markup.removeprefix('<p title="').removesuffix("</p>")
    attribute, _, content = inside.partition('">')
    assert '"' not in attribute
    assert "<" not in content
