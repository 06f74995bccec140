"""Parts of divided cards, from the tool's text for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.gpu.nvidia.mig import MIB, Part, parse_parts, parse_profiles
from tests.probes.fake_smi import CAPTURES

PARTS = (CAPTURES / "h100-mig-590/parts.txt").read_text()
BUS = "00000000:00:09.0"


def test_parts() -> None:
    """A part has the memory of its instance, and not the card's nor that of its BAR1."""
    assert parse_parts(PARTS)[:2] == [
        Part(BUS, "0", "2", 40448 * MIB, 11091 * MIB),
        Part(BUS, "1", "3", 20096 * MIB, 17 * MIB),
    ]
    assert len(parse_parts(PARTS)) == len(PARTS.split("MIG Device")) - 1


def test_profiles() -> None:
    """A part goes by its GPU instance's profile; a compute instance's is left out."""
    text = (
        "GPU 0: NVIDIA A (UUID: GPU-a)\n  MIG 3g.40gb     Device  0: (UUID: MIG-1)\n"
        "  MIG 1c.4g.20gb  Device  1: (UUID: MIG-2)\nGPU 1: B (UUID: x) (UUID: GPU-b)\n"
        "  MIG 1g.10gb+me  Device  0: (UUID: MIG-3)\n"
    )
    assert parse_profiles(text) == {
        ("GPU-a", "0"): "3g.40gb",
        ("GPU-a", "1"): "4g.20gb",
        ("GPU-b", "0"): "1g.10gb+me",
    }


@pytest.mark.parametrize("text", ["", "\n", "No devices were found\n", "    MIG Device\n"])
def test_no_parts(text: str) -> None:
    """Without a card's heading and a number of an instance there is no part to export."""
    assert not [part for part in parse_parts(text) if part.card and part.instance]


@given(data=st.data(), junk=st.text(max_size=30))
def test_junk_anywhere(data: st.DataObject, junk: str) -> None:
    """Nothing in the text makes it fail."""
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(PARTS))] * 2)))
    for part in parse_parts(PARTS[:start] + junk + PARTS[end:]):
        assert part.total is None or part.total >= 0
