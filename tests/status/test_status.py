import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.load import Plan
from exporter.engine.cache import Cache
from exporter.engine.exporter import Exporter
from exporter.probe import Note
from exporter.probes import KINDS
from exporter.status.status import LABELS, SIGNS, Status, as_text, statuses, welcome
from tests.clock import now, virtual_time
from tests.scene import BROKEN, DIFFERENCES, HOST, TOR_OFF, Scene, eventful, result
from tests.scripted import Script


@virtual_time
async def test_every_probe_has_its_state() -> None:
    """One status a probe, in the order of the configuration, then one for each kind that is off."""
    scene = eventful()
    made = await scene.exporter(now)
    try:
        states = {status.name: status.state for status in statuses(made)}
        assert list(states) == [*scene.outcomes, *scene.absent]
        assert states == {
            **dict.fromkeys(scene.outcomes, "ok"),
            "gpu": "failing",
            "disk:/home/ada/.cache/huggingface/hub": "starting",
            "disk:/mnt/nas/models": "stuck",
            "aide": "warning",
            "commands": "off",
        }
    finally:
        await scene.end(made)


async def test_reasons_and_hints_are_shown() -> None:
    """A failure has its reason and hint; a kind that is off has how to switch it on."""
    scene = Scene({"gpu": BROKEN, "aide": result("", *DIFFERENCES)}, {"tor": TOR_OFF})
    gpu, aide, tor = statuses(await scene.exporter())
    assert gpu.notes == (Note(BROKEN.reason, BROKEN.hint),)
    assert aide.notes == DIFFERENCES
    assert tor.notes == (TOR_OFF,)
    assert tor.runner is None


@virtual_time
async def test_an_old_run_that_cannot_be_killed_is_stuck() -> None:
    """A probe that was changed while its run can't be killed shows so, with the reason."""
    script = Script(seconds=3600, unkillable=asyncio.Event())
    made = Exporter(Plan({}, (script.probe(timeout=0.05),), {}, "a test"), Cache(now))
    made.start_runs()
    (runner,) = made.cache.runners.values()
    await runner.finished()
    made.apply(Plan({}, (script.probe(timeout=1),), {}, "another"))
    (status,) = statuses(made)
    assert (status.state, runner.snapshot) == ("stuck", None)
    assert "can't be killed" in status.notes[0].text
    assert script.unkillable
    script.unkillable.set()
    await made.cache.stop()


def test_lines_for_a_terminal() -> None:
    """The state's sign and label; below, each note with all lines of its hint."""
    status = Status("tor", "off", (TOR_OFF, Note("no hint")))
    assert list(as_text(status)) == [
        "  - tor                      off",
        "      Tor is here but not asked, since asking sends traffic out",
        "      → probes:",
        "          tor:",
        '            socks: "127.0.0.1:9050"',
        "      no hint",
    ]


@given(st.text(), st.text(), st.text())
def test_a_terminal_gets_no_control_characters(name: str, text: str, hint: str) -> None:
    """No control character, no change of direction, no half of a character gets through."""
    assert all(line.isprintable() for line in as_text(Status(name, "failing", (Note(text, hint),))))


def test_every_state_has_its_label_and_sign() -> None:
    """No two states share a label."""
    assert SIGNS.keys() == LABELS.keys()
    assert len(set(LABELS.values())) == len(LABELS)


@pytest.mark.parametrize("absent", [{}, {kind.name: TOR_OFF for kind in KINDS}])
async def test_the_start_up_screen_lists_probes_and_addresses(absent: dict[str, Note]) -> None:
    """It has every probe and both addresses."""
    scene = Scene({"host": result(HOST)}, absent)
    screen = welcome(await scene.exporter(), "http://127.0.0.1:10058")
    assert "serves /etc/grid-exporter/config.yml:" in screen
    assert "✓ host" in screen
    assert screen.count("- ") == len(absent)
    assert "http://127.0.0.1:10058/metrics\n" in screen
