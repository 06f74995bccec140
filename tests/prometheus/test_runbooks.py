"""A runbook for every alert, in five parts, none of them empty."""

from __future__ import annotations

import re

import pytest

from tests.prometheus.promtool import FOLDER, alert_rules

RUNBOOKS = {path.stem: path for path in (FOLDER / "runbooks").iterdir()}
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Silence"]


def test_alerts_and_runbooks_are_one_to_one() -> None:
    """No alert's link leads nowhere, and no runbook outlives its alert."""
    assert set(RUNBOOKS) == set(alert_rules())


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_has_its_five_parts(name: str) -> None:
    """Meaning, impact, diagnosis, mitigation and when to silence, in this order and none empty."""
    title, *parts = re.split(r"^#+ (.*)\n", RUNBOOKS[name].read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]
    assert title == name
    assert parts[1::2] == PARTS
    assert all(text.strip() for text in parts[2::2])


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_diagnosis_has_a_command_and_two_causes(name: str) -> None:
    """Whoever was woken can copy the first step, and has the likeliest causes as a list."""
    _, diagnosis = RUNBOOKS[name].read_text(encoding="utf-8").split("## Diagnosis")
    diagnosis, _ = diagnosis.split("## Mitigation")
    command = re.search(r"^    \S", diagnosis, flags=re.MULTILINE)
    causes = [found.start() for found in re.finditer(r"^- \S", diagnosis, flags=re.MULTILINE)]
    assert command
    assert len(causes) >= 2
    assert command.start() < causes[0]


def test_links_lead_somewhere() -> None:
    """What a runbook refers to is there."""
    for name, path in RUNBOOKS.items():
        for target in re.findall(r"\]\(([^)]*)\)", path.read_text(encoding="utf-8")):
            assert target.removesuffix(".md") in RUNBOOKS, f"{name} refers to {target}"
