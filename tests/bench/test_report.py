import json

from tests.bench.report import Table, Target, from_document, text


def table() -> Table:
    found = Table("Title", "A setting.", ("value", "ratio"))
    found.add("good", 1234.5, 0.9, target=Target("≥", 0.8))
    found.add("bad", "-", 0.7, target=Target("≥", 0.8))
    found.add("half bad", 0.7, 0.9, target=Target("≥", 0.8), judged=2)
    found.add("unknown", 0.9, "-", target=Target("≥", 0.8))
    found.add("no target", 1.0, 0.1)
    return found


def test_a_missed_target_stands_out() -> None:
    """Whoever reads the table can't overlook it, and the program can tell."""
    found = table()
    assert found.missed() == ["bad", "half bad", "unknown"]
    assert found.markdown().splitlines()[-5:] == [
        "| good | 1,234 | 0.900 (≥ 0.800) |",
        "| bad | - | **0.700 (≥ 0.800) missed** |",
        "| half bad | 0.700 | **0.900 (≥ 0.800) missed** |",
        "| unknown | 0.900 | **- (≥ 0.800) missed** |",
        "| no target | 1.00 | 0.100 |",
    ]


def test_machines_read_the_same() -> None:
    """The JSON holds the values as they are, their targets, and what was missed."""
    document = table().document()
    assert document["missed"] == ["bad", "half bad", "unknown"]
    assert document["rows"][0]["values"] == (1234.5, 0.9)
    assert document["rows"][0]["target"] == {"sign": "≥", "limit": 0.8}


def test_limits_themselves_are_within() -> None:
    """At least and at most include the limit."""
    assert Target("≤", 2).met(2)
    assert not Target("≤", 2).met(2.01)
    assert Target("≥", 2).met(2)


def test_numbers_have_three_digits_that_count() -> None:
    """More would be noise."""
    assert [text(value) for value in (0, 0.01234, 1.234, 12.34, 123.4, 12345.6)] == [
        *("0", "0.012", "1.23", "12.3", "123", "12,346")
    ]


def test_a_table_comes_back_from_its_file() -> None:
    """A part that is run by itself leaves the other tables as they are."""
    found = table()
    assert from_document(json.loads(json.dumps(found.document()))).markdown() == found.markdown()
