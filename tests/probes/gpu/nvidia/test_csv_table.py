"""Reading nvidia-smi's help and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.gpu.nvidia.csv_table import missing_end, parse_fields, parse_table, value_of

FIELDS = {"index": "index", "gpu.label": "name", "memory.used": "memory.used"}
HELP = """List of valid properties to query for the switch "--query-gpu":

Section about clocks properties
How fast it runs.

"index"
Number of the card.

"clocks.current.graphics" or "clocks.gr" or "clocks.graphics"
"0: quoted" text of a description is no field.

"memory.used"
Memory in use.
"""


def test_fields_by_any_name() -> None:
    """A field is asked for by the driver's first name for it, whichever of its names we know."""
    wanted = ("memory.used", "clocks.gr", "fan.speed", "index")
    assert parse_fields(HELP, wanted) == {
        "memory.used": "memory.used",
        "clocks.current.graphics": "clocks.gr",
        "index": "index",
    }


def test_field_wanted_by_two_names() -> None:
    """A field that we know by its old and its new name is asked for once."""
    assert parse_fields(HELP, ("clocks.graphics", "clocks.gr")) == {
        "clocks.current.graphics": "clocks.graphics"
    }


@pytest.mark.parametrize(
    "text", ["", "\x00\xff", '"', '"a" or', 'or "index"', "index", '"index,x"', '" index"']
)
def test_no_fields(text: str) -> None:
    """What is no list of fields gives none."""
    assert parse_fields(text, ("index", "a")) == {}


def test_table() -> None:
    """Columns go by our names and rows by column; units stand in the header alone."""
    table = parse_table("index, gpu.label, memory.used [MiB]\n0, A card, 12\n1, B, [N/A]\n", FIELDS, "name")
    assert table.columns == ("index", "name", "memory.used")
    assert table.rows == (
        {"index": "0", "name": "A card", "memory.used": "12"},
        {"index": "1", "name": "B", "memory.used": "[N/A]"},
    )
    assert table.messages == ()
    assert table.truncated == ()


@pytest.mark.parametrize("name", ["A, B", 'Say "hi", twice', "a,b,, c", ", "])
def test_commas_in_a_name(name: str) -> None:
    """Commas and quotes in a name, which nothing escapes, leave it and its neighbours whole."""
    table = parse_table(f"index, gpu.label, memory.used [MiB]\n0, {name}, 12\n", FIELDS, "name")
    assert table.rows == ({"index": "0", "name": name.strip(), "memory.used": "12"},)


def test_commas_nowhere_to_belong() -> None:
    """A row with more cells than columns is broken where no column holds free text."""
    table = parse_table("index, memory.used [MiB]\n0, 12, 13\n", FIELDS, "name")
    assert (table.rows, table.truncated) == ((), ("0, 12, 13",))


APPS = {name: name for name in ("gpu_uuid", "pid", "process_name", "used_gpu_memory")}
A, B = "GPU-a, 7, foo, 3", "GPU-b, 8, ollama, 5"


@pytest.mark.parametrize(
    ("lines", "rows", "messages", "truncated"),
    [
        (f"{A}\n{B}", [("foo", "3"), ("ollama", "5")], [], []),
        (f"GPU-a, 7, foo\nbar, 100\n{B}", [("foo\nbar", "100"), ("ollama", "5")], [], []),
        (f"{A}\nbar, 100\n{B}", [("foo, 3\nbar", "100"), ("ollama", "5")], [], []),
        (f"{A}\n\nx\nbar, [N/A]\n{B}", [("foo, 3\n\nx\nbar", "[N/A]"), ("ollama", "5")], [], []),
        (f"GPU-a, 7, \n, 100 MiB\n{B}", [("", "100 MiB"), ("ollama", "5")], [], []),
        (f"{A}\nWARNING: a, b\n{B}", [("foo", "3"), ("ollama", "5")], ["WARNING: a, b"], []),
        (f"x, 5\n{A}", [("foo", "3")], ["x, 5"], []),
        (f"{A}\n[2026-01-01 12:00:00 WARN foo]", [("foo", "3")], ["[2026-01-01 12:00:00 WARN foo]"], []),
        (f"{A}\n[WARN a, b]", [("foo", "3")], ["[WARN a, b]"], []),
        (f"{A}\n[N/A], 9", [("foo", "3")], [], ["[N/A], 9"]),
        (f"{A}\nGPU-c, 9", [("foo", "3")], [], ["GPU-c, 9"]),
        (f"{A}\n9, 100", [("foo", "3")], [], ["9, 100"]),
        (f"GPU-a, 7, foo\n{B}", [("ollama", "5")], [], ["GPU-a, 7, foo"]),
        (f"GPU-a\nfoo, 5\n{B}", [("ollama", "5")], [], ["GPU-a\nfoo, 5"]),
        (f"GPU-a, 7\nfoo, bar, 5\n{B}", [("ollama", "5")], [], ["GPU-a, 7\nfoo, bar, 5"]),
    ],
)
def test_newlines_in_a_name(
    lines: str, rows: list[tuple[str, str]], messages: list[str], truncated: list[str]
) -> None:
    """A name with newlines keeps its value, messages stay apart, and the unclear is truncated."""
    table = parse_table(f"{', '.join(APPS)} [MiB]\n{lines}\n", APPS, "process_name")
    assert [(row["process_name"], row["used_gpu_memory"]) for row in table.rows] == rows
    assert (list(table.messages), list(table.truncated)) == (messages, truncated)


@given(pieces=st.lists(st.sampled_from(["foo", "bar", ", 3", "\n", ", ", " "])))
def test_any_newlines_in_a_name(pieces: list[str]) -> None:
    """However many commas and newlines a name holds, it and the row behind it stay whole."""
    name = "".join(pieces)
    text = f"{', '.join(APPS)} [MiB]\nGPU-a, 7, {name}, 100\n{B}\n"
    rows = parse_table(text, APPS, "process_name").rows
    assert [(row["process_name"], row["used_gpu_memory"]) for row in rows] == [
        (name.strip(), "100"),
        ("ollama", "5"),
    ]


def test_messages() -> None:
    """Lines before and after the table are messages, rows that lack cells are truncated."""
    text = "Hello\n\nindex, gpu.label, memory.used [MiB]\n0, A, 12\n1, B\nWARNING: a, b, c\n2"
    table = parse_table(text, FIELDS, "name")
    assert len(table.rows) == 1
    assert table.messages == ("Hello", "WARNING: a, b, c")
    assert table.truncated == ("1, B", "2")


@pytest.mark.parametrize("last", ["0, A, 12", "0, A, Active", "0, A", "0", "Failed, to, see"])
def test_last_line_without_its_end(last: str) -> None:
    """A last row without a newline is truncated, though it may seem whole: its last value may lack digits."""
    table = parse_table(f"index, gpu.label, memory.used [MiB]\n{last}", FIELDS, "name")
    assert (table.rows, table.truncated) == ((), (last,))


@pytest.mark.parametrize(
    "last", ["Active", "Not Active", "[N/A]", "[Not Supported]", "N/A", "Not Active\r", "[N/A]  "]
)
def test_end_that_is_missing(last: str) -> None:
    """A table lacks no more than a newline where its last cell is a word that can't be a part of one."""
    assert missing_end(f"index, pstate\n0, {last}") == "\n"


@pytest.mark.parametrize(
    "last", ["12", "Not Acti", "[N/", "[", "", "Inactive", "[N/A]\n", "Active\r\n", "x]"]
)
def test_end_that_may_be_missing(last: str) -> None:
    """Where a table may lack more, or lacks nothing, there is nothing to add."""
    assert missing_end(f"index, pstate\n0, {last}") == missing_end(last) == ""


@pytest.mark.parametrize("row", ["0, A, 39,32", "0, A,B, 39,32", "0, A, B, 39,32"])
def test_comma_in_a_value(row: str) -> None:
    """A comma without a blank parts no cells: one in a value spoils that value, and moves no other."""
    (cells,) = parse_table(f"index, gpu.label, memory.used [MiB]\n{row}\n", FIELDS, "name").rows
    assert cells == {"index": "0", "name": row[3:-7], "memory.used": "39,32"}


def test_commas_without_blanks() -> None:
    """A table whose header has no blanks after its commas has none in its rows."""
    table = parse_table("index,gpu.label,memory.used [MiB]\n0,A,B,12\n", FIELDS, "name")
    assert table.rows == ({"index": "0", "name": "A,B", "memory.used": "12"},)


def test_no_table() -> None:
    """A message alone is no table."""
    table = parse_table("No devices were found", FIELDS, "name")
    assert (table.columns, table.messages, table.truncated) == ((), ("No devices were found",), ())
    assert parse_table("\n", {}, "name").columns == ()


@pytest.mark.parametrize(
    "cell",
    [
        "", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]", "Not Supported",
        "[Requested functionality has been deprecated]", "[Insufficient Permissions]", "[GPU is lost]",
        "ERR!",
    ],
)  # fmt: skip
def test_placeholders(cell: str) -> None:
    """Every spelling of "not available" is empty."""
    assert value_of(cell) == ""


@pytest.mark.parametrize("cell", ["0", "NVIDIA H100 [80GB]", "[A] B", "P0", "None"])
def test_values_stay(cell: str) -> None:
    """What is a value stays as it is."""
    assert value_of(cell) == cell
