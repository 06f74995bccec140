"""What happens on the demo's box."""

from __future__ import annotations

import pytest

from exporter.probe import ProbeError
from tests.box.box import FakeBox
from tests.box.look import Series, found
from tests.box.story import TROUBLES, Trouble, begin, told

KINDS = ("gpu", "containers", "services", "tor")


async def all_found(box: FakeBox) -> list[Series | None]:
    """What the probes find; None where one can't."""
    seen: list[Series | None] = []
    for kind in KINDS:
        try:
            seen.append(await found(box, kind))
        except ProbeError:
            seen.append(None)
    return seen


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.said)
async def test_every_trouble_begins_and_ends(box: FakeBox, trouble: Trouble) -> None:
    """Each shows while it lasts, and after it all is as it was before."""
    box.freeze(1.8e9)
    before = await all_found(box)
    trouble.begin(box)
    if trouble.said == "docker hangs":
        assert (box.directory / "faults/docker").read_text() == "hang"
    else:
        assert await all_found(box) != before
    trouble.end(box)
    assert await all_found(box) == before


async def test_there_is_something_to_see_at_once(box: FakeBox) -> None:
    """AIDE has found something, and a container has failed."""
    begin(box)
    assert (await found(box, "aide"))["grid_aide_clean"] == 0
    assert (await found(box, "containers"))['grid_container_exit_code{container="backup"}'] == 1


def test_story_ends_when_asked(box: FakeBox) -> None:
    """The block's end ends it, wherever it was."""
    said: list[str] = []
    with told(box, said.append):
        pass
    assert said == []
