import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.probe import Note
from exporter.probes import KINDS
from exporter.status.status import SIGNS, WORDS, Report, as_text, reports, welcome
from tests.scene import BROKEN, FINDINGS, HOST, TOR_OFF, Scene, eventful, found
from tests.scripted import Script


async def test_every_probe_has_its_state() -> None:
    """One report a probe, in the order of the configuration, then one for each kind that is off."""
    scene = eventful()
    made = await scene.exporter()
    try:
        states = {report.name: report.state for report in reports(made)}
        assert list(states) == [*scene.told, *scene.absent]
        assert states == {
            **dict.fromkeys(scene.told, "works"),
            "gpu": "fails",
            "disk:/home/ada/.cache/huggingface/hub": "starting",
            "disk:/mnt/nas/models": "stuck",
            "aide": "noted",
            "commands": "off",
        }
    finally:
        await scene.end(made)


async def test_what_mends_it_is_told() -> None:
    """A failure brings its reason and what helps; what is off brings how to switch it on."""
    scene = Scene({"gpu": BROKEN, "aide": found("", *FINDINGS)}, {"tor": TOR_OFF})
    gpu, aide, tor = reports(await scene.exporter())
    assert gpu.notes == (Note(BROKEN.reason, BROKEN.hint),)
    assert aide.notes == FINDINGS
    assert tor.notes == (TOR_OFF,)
    assert tor.runner is None


async def test_a_run_left_behind_by_a_new_configuration_is_stuck_not_starting() -> None:
    """A probe that was changed while its run can't be killed will not run: that is said, with its reason."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    made = Exporter(Plan({}, (script.probe(timeout=0.05),), {}, "a test"))
    made.start_runs()
    (runner,) = made.cache.runners.values()
    await runner.finished()
    made.apply(Plan({}, (script.probe(timeout=1),), {}, "another"))
    (report,) = reports(made)
    assert (report.state, runner.snapshot) == ("stuck", None)
    assert "can't be killed" in report.notes[0].text
    assert script.unkillable
    script.unkillable.set()
    await made.cache.stop()


def test_lines_for_a_terminal() -> None:
    """A sign and a word of the state; below, each note with what helps, as many lines as it has."""
    report = Report("tor", "off", (TOR_OFF, Note("no mend")))
    assert list(as_text(report)) == [
        "  - tor                      off",
        "      Tor is here but not asked, since asking sends traffic out",
        "      → probes:",
        "          tor:",
        '            socks: "127.0.0.1:9050"',
        "      no mend",
    ]


@given(st.text(), st.text(), st.text())
def test_a_terminal_is_given_nothing_to_obey(name: str, text: str, hint: str) -> None:
    """No control character, no change of direction, no half of a character gets through."""
    assert all(line.isprintable() for line in as_text(Report(name, "fails", (Note(text, hint),))))


def test_every_state_has_its_word_and_sign() -> None:
    """No two states share a word; failing and being stuck look alike at a glance."""
    assert SIGNS.keys() == WORDS.keys()
    assert len(set(WORDS.values())) == len(WORDS)


@pytest.mark.parametrize("absent", [{}, {kind.name: TOR_OFF for kind in KINDS}])
async def test_the_welcome_says_what_there_is_and_where_to_look(absent: dict[str, Note]) -> None:
    """Whoever starts the exporter sees every probe and both addresses."""
    scene = Scene({"host": found(HOST)}, absent)
    said = welcome(await scene.exporter(), "http://127.0.0.1:10058")
    assert "serves /etc/grid-exporter/config.yml:" in said
    assert "✓ host" in said
    assert said.count("- ") == len(absent)
    assert "http://127.0.0.1:10058/metrics\n" in said
