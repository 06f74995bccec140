"""Judging a response of nvidia-smi."""

import pytest

from exporter.probes.gpu.nvidia.diagnosis import MAX_NOTES, Response, hint, list_cards, notes
from exporter.system.subprocesses import Output

FIELDS = {"index": "index", "uuid": "uuid", "temperature.gpu": "temperature.gpu"}
HEADER = "index, uuid, temperature.gpu\n"
INFOROM = "WARNING: infoROM is corrupted at gpu 0000:01:00.0"
LOST = "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."


def response(out: str, code: int = 0, err: str = "") -> Response:
    """A response to a query of the cards."""
    return Response(Output(("nvidia-smi",), code, out.encode(), err.encode(), 0.1), FIELDS, "name")


@pytest.mark.parametrize(
    ("out", "code", "err", "error"),
    [
        (HEADER + "0, GPU-a, 40\n", 0, "", ""),
        (HEADER + "0, GPU-a, 40\n", 0, "warning\n", ""),
        (HEADER + "0, GPU-a, 40\n", 1, "warning\n", "warning"),
        (HEADER + "0, GPU-a, 40\n", 1, "", "exit status 1"),
        (HEADER + "0, GPU-a, 40\n", -11, "oops\n", "ended by SIGSEGV: oops"),
        (HEADER + f"0, GPU-a, 40\n{LOST}\n", 15, "", ""),
        (HEADER + "0, GPU-a, 40\nUnable to detect the device handle for GPU0000:02:00.0: Unknown Error\n", 15,
         "", ""),
        (HEADER + f"0, GPU-a, 40\n{INFOROM}\n", 14, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b, [GPU is lost]\n", 15, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b, [GPU requires reset]\n", 16, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b\n", 15, "", "a line of its output is cut off"),
        (HEADER + f"0, GPU-a, 40\n{LOST.lower()}\n", 255, "", ""),
        ("", 9, "WARNING: foo\nFailed to initialize NVML: Driver/library version mismatch\n",
         "Failed to initialize NVML: Driver/library version mismatch"),
        ("", 9, "nvidia-smi: foo\nbar\n", "foo"),
        (INFOROM, 14, "", INFOROM),
        ("", 6, "", "exit status 6"),
        ("INDEX, UUID\n0, GPU-a\n", 0, "", "it printed no table, but: INDEX, UUID"),
        (HEADER + "0, GPU-a\n", 0, "", "a line of its output is cut off"),
        (HEADER + "0, GPU-a, 4", 0, "", "a line of its output is cut off"),
        ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535\n", 18, "",
         "Failed to initialize NVML: Driver/library version mismatch"),
        ("", 0, "", "it printed no table"),
        ("", 4, "", "exit status 4"),
        ("\x1b[2Jhm\n", 0, "", "it printed no table, but: \\x1b[2Jhm"),
    ],
)  # fmt: skip
def test_error(out: str, code: int, err: str, error: str) -> None:
    """A response's error is one line for a person; a warning and a faulty card are none."""
    assert response(out, code, err).error == error


@pytest.mark.parametrize(
    ("out", "cards", "count", "error"),
    [
        (HEADER + "0, GPU-a, 40\n1, GPU-a, 50\n", 2, 2, ""),
        (HEADER + "0, GPU-a, 40\n0, GPU-a, 50\n", 1, None, "it lists two cards with the same index and UUID"),
        (HEADER + "0, GPU-a, 40\n1, GPU\n", 1, None, "a line of its output is cut off"),
        (HEADER + "0, GPU-a, [GPU is lost]\n", 0, 0, "GPU 0: GPU is lost"),
        (HEADER + "0, GPU-a, [GPU is lost]\n1, GPU-b, 40\n", 1, 1, ""),
        (HEADER + LOST + "\n", 0, 0, LOST),
        (LOST + "\n", 0, None, f"it printed no table, but: {LOST}"),
        (f"{LOST}\nNo devices were found\n", 0, 0, ""),
        (HEADER, 0, None, "it lists no card"),
        (HEADER + "0", 0, None, "a line of its output is cut off"),
        ("No devices were found\n", 0, 0, ""),
        (HEADER + "0, GPU-a, 40\nNo devices were found\n", 1, 1, ""),
    ],
)
def test_cards(out: str, cards: int, count: int | None, error: str) -> None:
    """The count is that of the cards that answer, and unknown where the list may not be whole."""
    listed = list_cards(response(out))
    assert (len(listed.cards), listed.count, listed.error) == (cards, count, error)


def test_first_of_two_same_cards() -> None:
    """Of two cards with one name the first stays, at its place."""
    listed = list_cards(response(HEADER + "0, GPU-a, 40\n1, GPU-b, 50\n0, GPU-a, 60\n"))
    assert [card.cells["temperature.gpu"] for card in listed.cards] == ["40", "50"]


def test_endless_messages() -> None:
    """Of messages without end some become notes, each once."""
    messages = response(HEADER, 0, "".join(f"line {n // 30}\n" for n in range(1000))).messages
    assert [note.text for note in notes(messages)] == [f"nvidia-smi: line {n}" for n in range(MAX_NOTES)]


def test_dead_card_without_an_index() -> None:
    """A card that is lost with its index is still reported."""
    assert list_cards(response(HEADER + "[GPU is lost], GPU-a, [GPU is lost]\n")).warnings == [
        "GPU ?: GPU is lost"
    ]


HANDLE = "Unable to determine the device handle for GPU 0000:02:00.0: "


@pytest.mark.parametrize(
    ("message", "step"),
    [
        (LOST, "power cycle"),
        (HANDLE + "Unknown Error", "power cycle"),
        (HANDLE.lower() + "Unknown Error", "power cycle"),
        (HANDLE + "Insufficient Permissions", "/dev/nvidia"),
        (HANDLE + "Unable to communicate with GPU because it is insufficiently powered.", "power cables"),
        (HANDLE + "GPU requires reset", "--gpu-reset"),
        (INFOROM, "warranty"),
        ("Failed to initialize NVML: Driver/library version mismatch", "reboot"),
        ("Failed to initialize NVML: Insufficient Permissions", "/dev/nvidia"),
        ("No devices were found", "lspci"),
        ("GPU 0: fan.speed: Unknown Error", "Xid"),
        ("GPU 0: recovery action Drain and Reset", "--gpu-reset"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "modprobe"),
    ],
)
def test_hints(message: str, step: str) -> None:
    """A known error message comes with how to fix its cause."""
    (note,) = notes([message])
    assert note.text == f"nvidia-smi: {message}"
    assert step in note.hint


def test_no_hint() -> None:
    """An unknown error message comes without a hint."""
    assert hint("oops") == ""
