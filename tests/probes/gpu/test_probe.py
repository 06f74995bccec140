"""Which vendors' cards are monitored, and that one probe costs another nothing."""

from pathlib import Path

import pytest

from exporter.probe import Host, Note, ProbeError, Result
from exporter.probes.gpu.probe import Settings, build, discover
from tests.probes.fake_smi import FakeSmi
from tests.probes.gpu.trees import plant, recorded
from tests.series import series

NVIDIA = "[class/drm/card9/device]\nvendor = 0x10de\nuevent = DRIVER={driver}\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is first on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def names(host: Host) -> list[str]:
    return [probe.name for probe in build(Settings(), host)]


async def test_nothing_here(host: Host, path: Path) -> None:
    """Without a card there is a note; a configured probe is NVIDIA's, whose failure has the hint."""
    assert await discover(host) == Note(
        "no GPU here", "where there is one of NVIDIA: install its driver with nvidia-smi"
    )
    assert names(host) == ["gpu"]


async def test_card_of_nvidia_without_its_driver(host: Host, path: Path) -> None:
    """A card under another driver isn't monitored, and the note is how it could be."""
    plant(NVIDIA.format(driver="nouveau"), host.sys)
    note = await discover(host)
    assert isinstance(note, Note)
    assert note.text == "an NVIDIA card, but no nvidia-smi"
    recorded("amd/rx-580", host.sys)
    assert await discover(host) == Settings()
    assert names(host) == ["gpu:amd"]


async def test_a_probe_for_each_vendor(host: Host, path: Path) -> None:
    """Each vendor whose cards are here has its probe, all of the same kind."""
    FakeSmi(path)
    recorded("amd/rx-580", host.sys)
    recorded("intel/arc-b580", host.sys)
    assert await discover(host) == Settings()
    assert names(host) == ["gpu", "gpu:amd", "gpu:intel"]
    assert all(probe.goes_by("gpu") for probe in build(Settings(), host))


async def test_mixed_box(host: Host, path: Path) -> None:
    """Two vendors' cards have the same families and other labels; a broken tool costs no other."""
    smi = FakeSmi(path).replay("rtx-4090-idle")
    recorded("amd/radeon-890m", host.sys)
    nvidia, amd = build(Settings(), host)
    found = series((await nvidia.run()).families) | series((await amd.run()).families)
    assert {name: value for name, value in found.items() if "_temperature" in name} == {
        'grid_gpu_temperature_celsius{gpu="0",uuid="GPU-6d1f0a52-93c4-7be8-05a1-2f4e8c7b9d30"}': 34,
        'grid_gpu_temperature_celsius{gpu="amd0",uuid="0000:c1:00.0"}': 38,
    }
    smi.fail("No devices were found\n", 9)
    assert 'grid_gpus{vendor="amd"}' in series((await amd.run()).families)


def notes_on_number(result: Result) -> list[str]:
    """The notes on the number of cards."""
    return [note.text for note in result.notes if "probes.gpu.expect" in note.text]


async def test_expected_cards_are_one_number_of_all_vendors(host: Host, path: Path) -> None:
    """The number stands beside the runs; once each vendor's cards are counted, another sum is a note."""
    smi = FakeSmi(path).replay("rtx-4090-idle")
    recorded("amd/radeon-890m", host.sys)
    nvidia, amd = build(Settings(expect=3), host)
    assert series(nvidia.constants) == {"grid_gpus_expected": 3}
    assert not amd.constants
    assert notes_on_number(await nvidia.run()) == []
    assert notes_on_number(await amd.run()) == ["2 cards, and probes.gpu.expect says 3"]
    smi.fail("Failed to initialize NVML: Unknown Error\n", 255)
    with pytest.raises(ProbeError):
        await nvidia.run()
    assert notes_on_number(await amd.run()) == []


async def test_cards_as_expected_give_no_note(host: Host, path: Path) -> None:
    """As many as the configuration says is no news; one more is, since its loss would not show."""
    recorded("amd/radeon-890m", host.sys)
    (probe,) = build(Settings(expect=1), host)
    assert notes_on_number(await probe.run()) == []
    recorded("amd/rx-580", host.sys)
    assert notes_on_number(await probe.run()) == ["2 cards, and probes.gpu.expect says 1"]
