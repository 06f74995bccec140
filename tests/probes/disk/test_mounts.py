from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probes.disk.mounts import Mount, origin, parse_mounts

CAPTURED = (Path(__file__).parents[2] / "captures/mountinfo/mountinfo").read_text()


def test_reads_captured_mounts() -> None:
    """Every mount is there with its device and kind; what the kernel escaped is as it was."""
    mounts = parse_mounts(CAPTURED)
    assert len(mounts) == CAPTURED.count("\n")
    assert mounts[43] == Mount("254:0", "/", "/", "/dev/vda", "ext4")
    assert mounts[63] == Mount("0:39", "/", "/srv/models/with space", "models #1", "tmpfs")
    assert mounts[67].device == ""


@pytest.mark.parametrize(
    ("number", "point"),
    [
        (43, "/"),
        (64, "/srv/models/bind"),  # a bind mount at another place than its own
        (65, "/"),  # one at its own, as systemd makes them
        (66, "/"),  # one on top of that
        (70, "/srv/models/ov"),
        (71, "/srv/models/ov"),  # mounted over the one before
    ],
)
def test_finds_the_mount_that_a_directory_belongs_to(number: int, point: str) -> None:
    """A mount that shows a folder at its own place is the mount below it, any other is itself."""
    mount = origin(parse_mounts(CAPTURED), number)
    assert mount is not None
    assert mount.point == point


def test_tells_mounts_in_one_place_apart() -> None:
    """Where one mount hides another the id says which of the two it is."""
    mounts = parse_mounts(CAPTURED)
    over, under = origin(mounts, 71), origin(mounts, 70)
    assert (over and over.fstype, under and under.fstype) == ("tmpfs", "overlay")


def test_keeps_subvolumes_apart() -> None:
    """Two subvolumes of one btrfs, mounted as distributions do, are two mounts."""
    mounts = parse_mounts(
        "25 1 0:22 /@ / rw,relatime shared:1 - btrfs /dev/nvme0n1p2 rw,ssd,subvolid=256,subvol=/@\n"
        "40 25 0:22 /@home /home rw,relatime shared:20 - btrfs /dev/nvme0n1p2 rw,ssd,subvol=/@home\n"
        "41 40 0:22 /@home/ai /home/ai ro,relatime shared:20 - btrfs /dev/nvme0n1p2 rw,ssd,subvol=/@home\n"
    )
    points = [mount.point for number in (25, 40, 41) if (mount := origin(mounts, number))]
    assert points == ["/", "/home", "/home"]


def test_is_not_misled_by_names_that_begin_alike() -> None:
    """A folder is not below another whose name merely begins its own."""
    mounts = parse_mounts(
        "1 0 8:1 /data /data rw - ext4 /dev/sda1 rw\n2 0 8:1 /data2 /data2 rw - ext4 /dev/sda1 rw\n"
    )
    mount = origin(mounts, 2)
    assert mount is not None
    assert mount.point == "/data2"


def test_does_not_know_a_mount_that_is_not_listed() -> None:
    """A mount that went since the scan, or lies outside of a chroot, is not known."""
    assert origin(parse_mounts(CAPTURED), 99) is None
    assert origin({}, 1) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "36 35 98:0 /",
        "x 35 98:0 / /a rw - ext4 /dev/a rw",
        "36 35 98:0 / /a rw - ext4",
        "\0\udcff",
    ],
)
def test_passes_over_what_is_no_mount(text: str) -> None:
    """Lines of another form, cut off ones too, are no mounts."""
    assert parse_mounts(text) == {}


@settings(max_examples=100)
@given(text=st.text("0123 /-:\\\n7a") | st.text())
def test_reads_any_text(text: str) -> None:
    """Whatever the text is, reading it raises nothing, and every mount has one that it belongs to."""
    mounts = parse_mounts(text)
    assert all(origin(mounts, number) for number in mounts)
