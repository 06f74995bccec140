"""What an answer of nvidia-smi is worth."""

import pytest

from exporter.probes.gpu.nvidia.diagnosis import LINES, Answer, find, hint, notes
from exporter.system.subprocesses import Output

FIELDS = {"index": "index", "uuid": "uuid", "temperature.gpu": "temperature.gpu"}
HEADER = "index, uuid, temperature.gpu\n"
INFOROM = "WARNING: infoROM is corrupted at gpu 0000:01:00.0"
LOST = "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."


def answer(out: str, code: int = 0, err: str = "") -> Answer:
    """An answer to a query of the cards."""
    return Answer(Output(("nvidia-smi",), code, out.encode(), err.encode(), 0.1), FIELDS, "name")


@pytest.mark.parametrize(
    ("out", "code", "err", "trouble"),
    [
        (HEADER + "0, GPU-a, 40\n", 0, "", ""),
        (HEADER + "0, GPU-a, 40\n", 0, "warning\n", ""),
        (HEADER + "0, GPU-a, 40\n", 1, "warning\n", "warning"),
        (HEADER + "0, GPU-a, 40\n", 1, "", "exit status 1"),
        (HEADER + "0, GPU-a, 40\n", -11, "said\n", "ended by SIGSEGV: said"),
        (HEADER + f"0, GPU-a, 40\n{LOST}\n", 15, "", ""),
        (HEADER + "0, GPU-a, 40\nUnable to detect the device handle for GPU0000:02:00.0: Unknown Error\n", 15,
         "", ""),
        (HEADER + f"0, GPU-a, 40\n{INFOROM}\n", 14, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b, [GPU is lost]\n", 15, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b, [GPU requires reset]\n", 16, "", ""),
        (HEADER + "0, GPU-a, 40\n1, GPU-b\n", 15, "", "a line of its answer is cut off"),
        (HEADER + f"0, GPU-a, 40\n{LOST.lower()}\n", 255, "", ""),
        ("", 9, "WARNING: foo\nFailed to initialize NVML: Driver/library version mismatch\n",
         "Failed to initialize NVML: Driver/library version mismatch"),
        ("", 9, "nvidia-smi: foo\nbar\n", "foo"),
        (INFOROM, 14, "", INFOROM),
        ("", 6, "", "exit status 6"),
        ("INDEX, UUID\n0, GPU-a\n", 0, "", "no table came, but: INDEX, UUID"),
        (HEADER + "0, GPU-a\n", 0, "", "a line of its answer is cut off"),
        (HEADER + "0, GPU-a, 4", 0, "", "a line of its answer is cut off"),
        ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535\n", 18, "",
         "Failed to initialize NVML: Driver/library version mismatch"),
        ("", 0, "", "no table came"),
        ("", 4, "", "exit status 4"),
        ("\x1b[2Jhm\n", 0, "", "no table came, but: \\x1b[2Jhm"),
    ],
)  # fmt: skip
def test_trouble(out: str, code: int, err: str, trouble: str) -> None:
    """What is wrong with an answer is one line for a person; a warning and a faulty card are no trouble."""
    assert answer(out, code, err).trouble == trouble


@pytest.mark.parametrize(
    ("out", "cards", "count", "trouble"),
    [
        (HEADER + "0, GPU-a, 40\n1, GPU-a, 50\n", 2, 2, ""),
        (HEADER + "0, GPU-a, 40\n0, GPU-a, 50\n", 1, None, "it lists two cards with the same index and UUID"),
        (HEADER + "0, GPU-a, 40\n1, GPU\n", 1, None, "a line of its answer is cut off"),
        (HEADER + "0, GPU-a, [GPU is lost]\n", 0, 0, "GPU 0: GPU is lost"),
        (HEADER + "0, GPU-a, [GPU is lost]\n1, GPU-b, 40\n", 1, 1, ""),
        (HEADER + LOST + "\n", 0, 0, LOST),
        (LOST + "\n", 0, None, f"no table came, but: {LOST}"),
        (f"{LOST}\nNo devices were found\n", 0, 0, ""),
        (HEADER, 0, None, "it lists no card"),
        (HEADER + "0", 0, None, "a line of its answer is cut off"),
        ("No devices were found\n", 0, 0, ""),
        (HEADER + "0, GPU-a, 40\nNo devices were found\n", 1, 1, ""),
    ],
)
def test_cards(out: str, cards: int, count: int | None, trouble: str) -> None:
    """The count is that of the cards that answer, and unknown where the list may not be whole."""
    found = find(answer(out))
    assert (len(found.cards), found.count, found.trouble) == (cards, count, trouble)


def test_first_of_two_same_cards() -> None:
    """Of two cards with one name the first stays, at its place."""
    found = find(answer(HEADER + "0, GPU-a, 40\n1, GPU-b, 50\n0, GPU-a, 60\n"))
    assert [card.cells["temperature.gpu"] for card in found.cards] == ["40", "50"]


def test_much_said() -> None:
    """Of a driver that never stops complaining some lines become notes, each once."""
    said = answer(HEADER, 0, "".join(f"line {n // 30}\n" for n in range(1000))).words
    assert [note.text for note in notes(said)] == [f"nvidia-smi says: line {n}" for n in range(LINES)]


def test_dead_card_without_an_index() -> None:
    """A card that is lost with its index is still told of."""
    assert find(answer(HEADER + "[GPU is lost], GPU-a, [GPU is lost]\n")).remarks == ["GPU ?: GPU is lost"]


HANDLE = "Unable to determine the device handle for GPU 0000:02:00.0: "


@pytest.mark.parametrize(
    ("said", "step"),
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
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "modprobe"),
    ],
)
def test_mends(said: str, step: str) -> None:
    """A known complaint comes with what to do about its cause."""
    (note,) = notes([said])
    assert note.text == f"nvidia-smi says: {said}"
    assert step in note.hint


def test_no_mend() -> None:
    """An unknown complaint comes without something to do."""
    assert hint("oops") == ""
