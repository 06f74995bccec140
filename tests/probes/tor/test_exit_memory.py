from pathlib import Path

import pytest

from exporter.probes.tor.exit_memory import ExitMemory


def test_the_first_exit_is_no_change() -> None:
    """The first exit that is ever seen changed from nothing, and the same one again changes nothing."""
    exits = ExitMemory(None)
    assert exits.changed is None
    exits.record("192.0.2.1", 100)
    exits.record("192.0.2.1", 200)
    assert exits.changed is None


def test_another_exit_is_a_change() -> None:
    """The time is when another exit was first seen, and stays until the next change."""
    exits = ExitMemory(None)
    for address, now in (("192.0.2.1", 100), ("192.0.2.2", 200), ("192.0.2.2", 300)):
        exits.record(address, now)
    assert exits.changed == 200


def test_kept_over_a_restart(tmp_path: Path) -> None:
    """A change before the restart is known after it, and so is one across it."""
    file = tmp_path / "exit.json"
    before = ExitMemory(file)
    before.record("192.0.2.1", 100)
    assert ExitMemory(file).changed is None
    before.record("192.0.2.2", 200.5)
    assert ExitMemory(file).changed == 200.5
    after = ExitMemory(file)
    after.record("192.0.2.2", 300)
    assert after.changed == 200.5
    after.record("192.0.2.3", 400)
    assert ExitMemory(file).changed == 400
    assert [path.name for path in tmp_path.iterdir()] == ["exit.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"changed":1}',
        b'{"address":7}',
        b'{"address":"192.0.2.1","changed":"now"}',
        b'{"address":"192.0.2.1","changed":1e999}',
        b'{"address":"192.0.2.1","x":' + b"[" * 10_000,
    ],
)
def test_a_broken_file_is_forgotten(tmp_path: Path, content: bytes) -> None:
    """A file that is not ours is no memory, and is replaced by one."""
    file = tmp_path / "exit.json"
    file.write_bytes(content)
    exits = ExitMemory(file)
    assert exits.changed is None
    exits.record("192.0.2.1", 100)
    exits.record("192.0.2.2", 200)
    assert not exits.warnings
    assert ExitMemory(file).changed == 200


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    """Where nothing can be kept a note says so, the memory works on, and keeps as soon as it can."""
    directory = tmp_path / "state"
    exits = ExitMemory(directory / "exit.json")
    exits.record("192.0.2.1", 100)
    exits.record("192.0.2.2", 200)
    assert exits.changed == 200
    assert str(directory) in exits.warnings[0].text
    directory.mkdir()
    exits.record("192.0.2.2", 300)
    assert not exits.warnings
    assert ExitMemory(directory / "exit.json").changed == 200
