"""Reading nvidia-smi's help and tables."""

import pytest

from exporter.probes.gpu.text import known, missing_end, parse_fields, parse_table

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
    assert table.said == ()
    assert table.torn == ()


@pytest.mark.parametrize("name", ["A, B", 'Say "hi", twice', "a,b,, c", ", "])
def test_commas_in_a_name(name: str) -> None:
    """Commas and quotes in a name, which nothing escapes, leave it and its neighbours whole."""
    table = parse_table(f"index, gpu.label, memory.used [MiB]\n0, {name}, 12\n", FIELDS, "name")
    assert table.rows == ({"index": "0", "name": name.strip(), "memory.used": "12"},)


def test_commas_nowhere_to_belong() -> None:
    """A row with more cells than columns is broken where no column holds free text."""
    table = parse_table("index, memory.used [MiB]\n0, 12, 13\n", FIELDS, "name")
    assert (table.rows, table.torn) == ((), ("0, 12, 13",))


def test_messages() -> None:
    """Lines before and after the table are what was said, rows that lack cells are torn."""
    text = "Hello\n\nindex, gpu.label, memory.used [MiB]\n0, A, 12\n1, B\nWARNING: a, b, c\n2"
    table = parse_table(text, FIELDS, "name")
    assert len(table.rows) == 1
    assert table.said == ("Hello", "WARNING: a, b, c")
    assert table.torn == ("1, B", "2")


@pytest.mark.parametrize("last", ["0, A, 12", "0, A, Active", "0, A", "0", "Failed, to, see"])
def test_last_line_without_its_end(last: str) -> None:
    """A last row without a newline is torn, though it may seem whole: its last figure may lack digits."""
    table = parse_table(f"index, gpu.label, memory.used [MiB]\n{last}", FIELDS, "name")
    assert (table.rows, table.torn) == ((), (last,))


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
def test_comma_in_a_figure(row: str) -> None:
    """A comma without a blank parts no cells: one in a figure spoils that figure, and moves no other."""
    (cells,) = parse_table(f"index, gpu.label, memory.used [MiB]\n{row}\n", FIELDS, "name").rows
    assert cells == {"index": "0", "name": row[3:-7], "memory.used": "39,32"}


def test_commas_without_blanks() -> None:
    """A table whose header has no blanks after its commas has none in its rows."""
    table = parse_table("index,gpu.label,memory.used [MiB]\n0,A,B,12\n", FIELDS, "name")
    assert table.rows == ({"index": "0", "name": "A,B", "memory.used": "12"},)


def test_no_table() -> None:
    """A message alone is no table."""
    table = parse_table("No devices were found", FIELDS, "name")
    assert (table.columns, table.said, table.torn) == ((), ("No devices were found",), ())
    assert parse_table("\n", {}, "name").columns == ()


@pytest.mark.parametrize(
    "cell",
    [
        "", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]", "Not Supported",
        "[Requested functionality has been deprecated]", "[Insufficient Permissions]", "[GPU is lost]",
        "ERR!",
    ],
)  # fmt: skip
def test_nothing_known(cell: str) -> None:
    """Every spelling of "not available" is nothing."""
    assert known(cell) == ""


@pytest.mark.parametrize("cell", ["0", "NVIDIA H100 [80GB]", "[A] B", "P0", "None"])
def test_known(cell: str) -> None:
    """What is a value stays as it is."""
    assert known(cell) == cell
