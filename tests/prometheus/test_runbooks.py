"""A runbook for every alert, in four parts that each say something."""

from __future__ import annotations

import re

import pytest

from tests.prometheus.promtool import FOLDER, alert_rules

RUNBOOKS = {path.stem: path for path in (FOLDER / "runbooks").iterdir()}
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def test_alerts_and_runbooks_are_one_to_one() -> None:
    """No alert's link leads nowhere, and no runbook outlives its alert."""
    assert set(RUNBOOKS) == set(alert_rules())


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_has_its_four_parts(name: str) -> None:
    """Meaning, impact, diagnosis and mitigation, in this order and none empty."""
    title, *parts = re.split(r"^#+ (.*)\n", RUNBOOKS[name].read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]
    assert title == name
    assert parts[1::2] == PARTS
    assert all(text.strip() for text in parts[2::2])


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_diagnosis_has_a_command(name: str) -> None:
    """Whoever was woken can copy the first step."""
    _, diagnosis = RUNBOOKS[name].read_text(encoding="utf-8").split("## Diagnosis")
    assert re.search(r"^    \S", diagnosis.split("## Mitigation")[0], flags=re.MULTILINE)


def test_links_lead_somewhere() -> None:
    """What a runbook refers to is there."""
    for name, path in RUNBOOKS.items():
        for target in re.findall(r"\]\(([^)]*)\)", path.read_text(encoding="utf-8")):
            assert target.removesuffix(".md") in RUNBOOKS, f"{name} refers to {target}"
