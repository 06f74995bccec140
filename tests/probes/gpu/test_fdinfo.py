"""Reading DRM's fdinfo, whose keys and units changed from kernel to kernel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.gpu.fdinfo import Client, parse_client

KIB, MIB = 1024, 1024**2
CARD = "0000:03:00.0"


def text(*lines: str, client: int = 3) -> str:
    return "\n".join(
        ["pos:\t0", "drm-driver:\txe", f"drm-client-id:\t{client}", f"drm-pdev:\t{CARD}", *lines, ""]
    )


@pytest.mark.parametrize(
    ("lines", "resident", "shared"),
    [
        # xe: units vary from line to line, and a bare number is of bytes
        (
            ["drm-total-vram0:\t30 MiB", "drm-resident-vram0:\t23992 KiB", "drm-shared-vram0:\t16 MiB",
             "drm-resident-gtt:\t192 KiB", "drm-resident-system:\t0", "drm-resident-stolen:\t4096"],
            {"vram0": 23992 * KIB, "gtt": 192 * KIB, "system": 0, "stolen": 4096}, {"vram0": 16 * MIB},
        ),
        # amdgpu of Linux 6.13: the same memory under its old name, too
        (
            ["drm-resident-vram:\t44564 KiB", "drm-memory-vram:\t44564 KiB", "drm-memory-gtt: \t2392 KiB"],
            {"vram": 44564 * KIB, "gtt": 2392 * KIB}, {},
        ),
        (["drm-memory-vram:\t1 GiB"], {"vram": 1024 * MIB}, {}),
        (["drm-engine-gfx:\t107322799 ns", "drm-engine-capacity-vcs:\t2", "drm-cycles-rcs:\t1"], {}, {}),
        (["drm-resident-vram:\t-1 KiB", "drm-resident-gtt:\t1e3", "drm-resident-cpu: 1 TiB"], {}, {}),
    ],
)  # fmt: skip
def test_client(lines: list[str], resident: dict[str, int], shared: dict[str, int]) -> None:
    """What is resident counts, once, in bytes; what is not understood is left out."""
    assert parse_client(text(*lines)) == Client(CARD, "3", resident, shared)


def test_client_of_linux_5_14() -> None:
    """The first kernels with fdinfo had other keys, and no id but that of the address space."""
    old = f"pdev:\t{CARD}\npasid:\t32771\nvram mem:\t1024 kB\ngtt mem:\t2048 kB\ngfx0:\t12.50%\n"
    assert parse_client(old) == Client(CARD, "pasid 32771", {"vram": MIB, "gtt": 2 * MIB}, {})


def test_client_that_is_cut_off() -> None:
    """A process that ends while it is read leaves half a line, whose number lacks digits."""
    whole = text("drm-resident-vram0:\t1024 KiB", "drm-resident-gtt:\t2048 KiB")
    client = parse_client(whole[: whole.index("2048") + 2])
    assert client is not None
    assert client.resident == {"vram0": MIB}


@pytest.mark.parametrize("other", ["", "pos:\t0\n", "drm-pdev:\t../../x\n", "drm-driver:\tvc4\n", "\0\n"])
def test_no_client(other: str) -> None:
    """What names no card on the PCI bus is none."""
    assert parse_client(other) is None


@given(st.text(max_size=300))
def test_any_text(junk: str) -> None:
    """Nothing makes it fail, and no amount is negative."""
    client = parse_client(text(*(f"{name}{junk}" for name in ("drm-resident-", "drm-shared-vram:", ""))))
    assert client is None or all(amount >= 0 for amount in client.resident.values())
