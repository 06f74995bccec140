"""From nvidia-smi's table of processes to samples."""

import pytest

from exporter.metrics.families import Samples
from exporter.probes.gpu.nvidia.cards import Card, parse_card
from exporter.probes.gpu.nvidia.csv_table import parse_table
from exporter.probes.gpu.nvidia.processes import FIELDS, NAME, add_processes, parse_processes, program
from tests.series import series

MIB = 1024 * 1024
HEADER = "gpu_uuid, pid, process_name, used_gpu_memory [MiB]\n"
SAME = "GPU-00000000-0000-0000-0000-000000000000"


def cards(*uuids: str, divided: str = "") -> list[Card]:
    """Cards with these UUIDs; those whose index is in ``divided`` have MIG."""
    return [
        parse_card(
            {
                "index": str(n),
                "uuid": uuid,
                "mig.mode.current": "Enabled" if str(n) in divided else "Disabled",
            }
        )
        for n, uuid in enumerate(uuids)
    ]


def processes(rows: str, on: list[Card], *, missed: bool = False) -> dict[str, float]:
    """The series of these rows; a process with an even pid runs in a container of that number."""
    samples = Samples()
    table = parse_table(HEADER + rows, {name: name for name in FIELDS}, NAME)
    assert table.truncated == ()
    add_processes(samples, parse_processes(table), on, lambda pid: "" if pid % 2 else str(pid), missed=missed)
    return {name.removeprefix("grid_gpu_"): value for name, value in series(samples.families()).items()}


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("/usr/bin/python3", "python3"),
        ("./gpu_burn", "gpu_burn"),
        ("/opt/My App/run it", "run it"),
        ("/usr/bin/a, b", "a, b"),
        ("VLLM::EngineCore", "VLLM::EngineCore"),
        ("/opt/electron --type=gpu-process --blob=UAAA/AAgA", "electron"),
        ("python train.py -v", "python train.py -v"),
        (r"C:\Windows\System32\dwm.exe", "dwm.exe"),
        (r"c:\Program Files (x86)\My App\run it.exe", "run it.exe"),
        (r"Z:\home/me/game.exe --full", "game.exe"),
        (r"/opt/a\b", r"a\b"),
        ("/opt/dir/", "dir"),
        ("[Not Found]", "[Not Found]"),
        ("[N/A]", "[N/A]"),
        ("N/A", "N/A"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_program(name: str, base: str) -> None:
    """A program goes by its name alone; what stands for an unknown one stays."""
    assert program(name) == base


def test_sums() -> None:
    """Memory is summed over the pids of one program in one container, and never over cards or containers."""
    rows = (
        "GPU-a, 1, /usr/bin/python3, 100\nGPU-a, 3, /opt/python3, 20\nGPU-a, 4, python3, 3\n"
        "GPU-b, 1, python3, 7\nGPU-b, 1, python3, 1\n"
    )
    assert processes(rows, cards("GPU-a", "GPU-b", "GPU-c")) == {
        'processes{gpu="0",uuid="GPU-a"}': 3,
        'processes{gpu="1",uuid="GPU-b"}': 1,
        'processes{gpu="2",uuid="GPU-c"}': 0,
        'process_memory_bytes{container="",gpu="0",process="python3",uuid="GPU-a"}': 120 * MIB,
        'process_memory_bytes{container="4",gpu="0",process="python3",uuid="GPU-a"}': 3 * MIB,
        'process_memory_bytes{container="",gpu="1",process="python3",uuid="GPU-b"}': 8 * MIB,
    }


def test_newline_in_a_name() -> None:
    """A name that ends like a row before a newline doesn't give its process another value."""
    series_of = processes("GPU-a, 1, /opt/foo, 3\nbar, 100\nGPU-a, 3, ollama, 6\n", cards("GPU-a"))
    assert [value for name, value in series_of.items() if "foo" in name] == [100 * MIB]
    assert series_of['processes{gpu="0",uuid="GPU-a"}'] == 2


@pytest.mark.parametrize("used", ["[N/A]", "N/A", "[Not Supported]", "-1", "nan", "1e400", ""])
def test_unknown_memory(used: str) -> None:
    """A process whose memory is unknown is counted, and the sum that lacks it is left out, not smaller."""
    rows = f"GPU-a, 1, python3, 100\nGPU-a, 3, python3, {used}\nGPU-a, 5, ollama, 6\n"
    assert processes(rows, cards("GPU-a")) == {
        'processes{gpu="0",uuid="GPU-a"}': 3,
        'process_memory_bytes{container="",gpu="0",process="ollama",uuid="GPU-a"}': 6 * MIB,
    }


@pytest.mark.parametrize("pid", ["[Not Supported]", "[Insufficient Permissions]", "-1", "", "../1", "9" * 20])
def test_unknown_process(pid: str) -> None:
    """Where a card's processes are not reported their number is unknown, not one; other cards' is known."""
    rows = f"GPU-a, {pid}, [Not Supported], [Not Supported]\n"
    assert processes(rows, cards("GPU-a", "GPU-b")) == {'processes{gpu="1",uuid="GPU-b"}': 0}


@pytest.mark.parametrize("uuid", ["MIG-5c0f6f2e-5d5c-5a0e-9d3f-1b0e6f0c7a11", "MIG-GPU-b/3/0", "GPU-b"])
def test_part_of_a_card(uuid: str) -> None:
    """A part's process runs on the card that is divided, however the driver spells the part."""
    series_of = processes(f"{uuid}, 1, python3, 5\n", cards("GPU-a", "GPU-b", divided="1"))
    assert series_of['process_memory_bytes{container="",gpu="1",process="python3",uuid="GPU-b"}'] == 5 * MIB
    assert series_of['processes{gpu="0",uuid="GPU-a"}'] == 0
    assert series_of['processes{gpu="1",uuid="GPU-b"}'] == 1


def test_part_of_one_of_two_cards() -> None:
    """Where two cards are divided it is unknown whose part it is: it goes under its own UUID, no index."""
    series_of = processes("MIG-5c0f6f2e, 1, python3, 5\n", cards("GPU-a", "GPU-b", "GPU-c", divided="01"))
    assert series_of == {
        'processes{gpu="2",uuid="GPU-c"}': 0,
        'processes{gpu="",uuid="MIG-5c0f6f2e"}': 1,
        'process_memory_bytes{container="",gpu="",process="python3",uuid="MIG-5c0f6f2e"}': 5 * MIB,
    }


def test_old_part_of_one_of_two_cards() -> None:
    """The old spelling of a part holds its card's UUID: its card is known though both are divided."""
    series_of = processes("MIG-GPU-b/1/0, 1, python3, 5\n", cards("GPU-a", "GPU-b", divided="01"))
    assert series_of['process_memory_bytes{container="",gpu="1",process="python3",uuid="GPU-b"}'] == 5 * MIB


def test_two_cards_with_one_uuid() -> None:
    """Cards with the same UUID are not mixed up: a process is on one of them, neither's number is known."""
    assert processes(f"{SAME}, 1, python3, 5\n", cards(SAME, SAME)) == {
        f'processes{{gpu="",uuid="{SAME}"}}': 1,
        f'process_memory_bytes{{container="",gpu="",process="python3",uuid="{SAME}"}}': 5 * MIB,
    }


def test_part_where_no_card_seems_divided() -> None:
    """A part's process is the only card's, also where the driver doesn't report that it is divided."""
    assert processes("MIG-5c0f6f2e, 1, python3, 5\n", cards("GPU-a"))['processes{gpu="0",uuid="GPU-a"}'] == 1


def test_uuid_without_prefix() -> None:
    """A card on a system on chip has a UUID without a prefix, and its rows are rows."""
    uuid = "3f8d1c07-52ab-5e94-a6f1-c80b7d2e4915"
    series_of = processes(f"{uuid}, 1, python3, 5\n", cards(uuid))
    name = f'process_memory_bytes{{container="",gpu="0",process="python3",uuid="{uuid}"}}'
    assert series_of[name] == 5 * MIB


def test_no_uuid() -> None:
    """A card without a UUID has the processes without one, as long as it is the only one."""
    assert processes("[N/A], 1, python3, 5\n", cards("[N/A]"))['processes{gpu="0",uuid=""}'] == 1
    assert processes("N/A, 1, python3, 5\n", cards("GPU-a", "GPU-b")) == {
        'processes{gpu="",uuid=""}': 1,
        'process_memory_bytes{container="",gpu="",process="python3",uuid=""}': 5 * MIB,
    }


def test_card_that_is_not_listed() -> None:
    """A process on a card that no longer answers is still shown, under that card's UUID."""
    assert processes("GPU-gone, 1, python3, 5\n", cards("GPU-a")) == {
        'processes{gpu="0",uuid="GPU-a"}': 0,
        'processes{gpu="",uuid="GPU-gone"}': 1,
        'process_memory_bytes{container="",gpu="",process="python3",uuid="GPU-gone"}': 5 * MIB,
    }


@pytest.mark.parametrize("uuid", ["[N/A]", "[Unknown Error]"])
def test_card_that_may_be_the_one(uuid: str) -> None:
    """A process with a UUID that no card reports may run on a card without one: its number is unknown."""
    assert processes("GPU-x, 1, python3, 5\n", cards(uuid, "GPU-b")) == {
        'processes{gpu="1",uuid="GPU-b"}': 0,
        'processes{gpu="",uuid="GPU-x"}': 1,
        'process_memory_bytes{container="",gpu="",process="python3",uuid="GPU-x"}': 5 * MIB,
    }


def test_card_that_was_missed() -> None:
    """Where a card didn't answer those without a process may be it: their number is unknown, not 0."""
    assert processes("GPU-a, 1, python3, [N/A]\n", cards("GPU-a", "GPU-b"), missed=True) == {
        'processes{gpu="0",uuid="GPU-a"}': 1
    }
