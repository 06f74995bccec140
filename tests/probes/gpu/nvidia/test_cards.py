"""From a row of nvidia-smi's table of cards to samples."""

import pytest

from exporter.metrics.families import Samples
from exporter.probes.gpu.nvidia.cards import FIELDS, METRICS, RECOVERY_ACTIONS, add_cards, parse_card
from tests.series import series

LABELS = 'gpu="0",uuid="GPU-1"'


def metrics(**cells: str) -> dict[str, float]:
    """The series of a card with these cells, but for what it is; __ stands for a dot."""
    samples = Samples()
    row = {"index": "0", "uuid": "GPU-1"} | {name.replace("__", "."): cell for name, cell in cells.items()}
    add_cards(samples, [parse_card(row)])
    return {name: value for name, value in series(samples.families()).items() if "_info" not in name}


def test_percent_is_exact() -> None:
    """Each whole percentage is the ratio that a person would write."""
    for percent in range(101):
        (value,) = metrics(utilization__gpu=str(percent)).values()
        assert value == float(f"{percent / 100:.2f}")


@pytest.mark.parametrize(
    "cell",
    [
        "nan",
        "-1",
        "1e400",
        "inf",
        "",
        "[N/A]",
        "N/A",
        "[Unknown Error]",
        "1_000",
        "0x1F",
        "12 KiB",
        "1,5",
        "٣",
    ],
)
def test_no_number(cell: str) -> None:
    """What is no number gives no series, for any metric."""
    for metric in METRICS:
        for field in metric.fields:
            assert metrics(**{field: cell}) == {}


def test_unit_left_in() -> None:
    """A value with its unit, as the tool prints it where it isn't asked to leave it out, is the same."""
    cells = {"memory__used": "12 MiB", "fan__speed": "38 %", "power__draw": "39.32 W"}
    bare = {name: cell.partition(" ")[0] for name, cell in cells.items()}
    assert metrics(**cells) == metrics(**bare) != {}


def test_active_limit() -> None:
    """The limit is the active one; where that is unknown it is the one that was set."""
    name = f"grid_gpu_power_limit_watts{{{LABELS}}}"
    both = metrics(enforced__power__limit="330.00", power__limit="400.00")
    assert (both, metrics(enforced__power__limit="[N/A]", power__limit="400.00")) == (
        {name: 330},
        {name: 400},
    )


def test_counters_are_seconds() -> None:
    """The driver counts microseconds in which it held the clocks down."""
    assert metrics(clocks_event_reasons_counters__sw_power_cap="1500000") == {
        'grid_gpu_throttle_seconds_total{gpu="0",reason="sw_power_cap",uuid="GPU-1"}': 1.5
    }


@pytest.mark.parametrize(("cell", "pending"), [("Yes", 1), ("No", 0), ("[N/A]", None), ("1", None)])
def test_rows_that_wait_for_a_reset(cell: str, pending: float | None) -> None:
    """Whether rows are pending is yes, no or unknown."""
    name = f"grid_gpu_remapped_rows_pending{{{LABELS}}}"
    assert metrics(remapped_rows__pending=cell) == ({} if pending is None else {name: pending})


def test_pages_and_rows() -> None:
    """What was replaced or given up is distinguished by the kind of error."""
    cells = {"remapped_rows__correctable": "3", "remapped_rows__uncorrectable": "1"}
    pages = {"retired_pages__single_bit_ecc__count": "2", "retired_pages__double_bit__count": "0"}
    assert metrics(**cells, **pages) == {
        'grid_gpu_remapped_rows{gpu="0",kind="corrected",uuid="GPU-1"}': 3,
        'grid_gpu_remapped_rows{gpu="0",kind="uncorrected",uuid="GPU-1"}': 1,
        'grid_gpu_retired_pages{gpu="0",kind="single_bit",uuid="GPU-1"}': 2,
        'grid_gpu_retired_pages{gpu="0",kind="double_bit",uuid="GPU-1"}': 0,
    }


def test_deprecated_field() -> None:
    """Where a newer driver drops a field's old name the value is taken from the new one."""
    deprecated = "[Requested functionality has been deprecated]"
    cells = metrics(pcie__link__gen__current=deprecated, pcie__link__gen__gpucurrent="5")
    assert cells == {f"grid_gpu_pcie_link_generation{{{LABELS}}}": 5}


def test_driver_version() -> None:
    """The driver's version is known where a newer driver reports it under its new name alone."""
    samples = Samples()
    add_cards(samples, [parse_card({"driver_version": "[N/A]", "kmd_version": "610.1"})])
    assert [name for name in series(samples.families()) if 'driver_version="610.1"' in name]


@pytest.mark.parametrize(
    ("cell", "state"),
    [("P0", 0), ("P8", 8), ("P15", 15), ("P16", None), ("P", None), ("8", None), ("P-1", None)],
)
def test_performance_state(cell: str, state: float | None) -> None:
    """Only P0 to P15 are states."""
    expected = {} if state is None else {f"grid_gpu_performance_state{{{LABELS}}}": state}
    assert metrics(pstate=cell) == expected


@pytest.mark.parametrize("word", ["event", "throttle"])
def test_throttle(word: str) -> None:
    """A reason is 1 or 0 under its old and its new name, and nothing where the driver reports neither."""
    name = 'grid_gpu_throttle_active{gpu="0",reason="sw_power_cap",uuid="GPU-1"}'
    field = f"clocks_{word}_reasons.sw_power_cap"
    assert metrics(**{field: "Active"}) == {name: 1}
    assert metrics(**{field: "Not Active"}) == {name: 0}
    assert metrics(**{field: "[Not Supported]"}) == metrics(**{field: "0x1"}) == {}


@pytest.mark.parametrize(
    ("cells", "lost"),
    [
        ({"temperature.gpu": "40", "fan.speed": "[Unknown Error]"}, False),
        ({"temperature.gpu": "[Unknown Error]", "fan.speed": "[Unknown Error]"}, True),
        ({"temperature.gpu": "40", "fan.speed": "[GPU is lost]"}, True),
        ({"temperature.gpu": "[N/A]", "fan.speed": "[N/A]"}, False),
        ({"temperature.gpu": "[GPU requires reset]"}, False),
        ({"temperature.gpu": "[N/A]", "fan.speed": "[Unknown Error]", "pstate": "P0"}, False),
        ({"fan.speed": "[Unknown Error]", "clocks_event_reasons.gpu_idle": "Not Active"}, False),
        ({"fan.speed": "[Unknown Error]", "pstate": "[Unknown Error]"}, True),
        ({"temperature.gpu": "[N/A]", "vbios_version": "[Unknown Error]"}, False),
    ],
)
def test_lost(cells: dict[str, str], *, lost: bool) -> None:
    """A card is lost when the driver reports it as lost or has nothing but errors for it.

    A broken sensor isn't that, nor is a card that has few values while it reports its state.
    """
    assert parse_card(cells).lost is lost


@pytest.mark.parametrize("condition", ["GPU requires reset", "Insufficient Permissions"])
def test_condition(condition: str) -> None:
    """A card that needs a reset, or keeps its values from this user, is there with that condition."""
    assert parse_card({"temperature.gpu": f"[{condition}]"}).conditions == [condition]
    assert parse_card({"temperature.gpu": "[N/A]"}).conditions == []


def test_broken_sensor_is_a_condition() -> None:
    """Each field that has an error in place of its value is named, and the card is not lost."""
    cells = {"temperature.gpu": "40", "fan.speed": "[Unknown Error]", "power.draw": "[Unknown Error]"}
    assert parse_card(cells).conditions == ["fan.speed, power.draw: Unknown Error"]


@pytest.mark.parametrize(
    ("cell", "action", "conditions"),
    [
        ("None", "none", []),
        ("Reset", "reset", ["recovery action Reset"]),
        ("Drain P2P", "drain_p2p", ["recovery action Drain P2P"]),
        ("Drain and Reset", "drain_and_reset", ["recovery action Drain and Reset"]),
        ("Pray!", "pray", ["recovery action Pray!"]),
    ],
)
def test_recovery_action(cell: str, action: str, conditions: list[str]) -> None:
    """The action that the driver asks for is 1, all others 0; any but none is a condition, too."""
    states = metrics(gpu_recovery_action=cell)
    assert [name for name, value in states.items() if value == 1] == [
        f'grid_gpu_recovery_action{{action="{action}",{LABELS}}}'
    ]
    assert len(states) == len({*RECOVERY_ACTIONS, action})
    assert parse_card({"gpu_recovery_action": cell}).conditions == conditions


@pytest.mark.parametrize("cell", ["", "[N/A]", "[Unknown Error]", "!!"])
def test_no_recovery_action(cell: str) -> None:
    """Where the driver names none there is no series."""
    assert metrics(gpu_recovery_action=cell) == {}


def test_fields_are_asked_once() -> None:
    """No field stands twice in the query, and the index is its first."""
    assert len(set(FIELDS)) == len(FIELDS)
    assert FIELDS[0] == "index"


def test_help_names_its_fields() -> None:
    """Every metric's help names the nvidia-smi field that it comes from."""
    for metric in METRICS:
        source = metric.fields[0].split(".")[0]
        assert f"nvidia-smi {source}" in metric.family.help
