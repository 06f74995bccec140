import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.exposition import LABEL_LIMIT, join, render
from exporter.probes.commands.probe import metrics
from exporter.probes.commands.textformat import FAMILIES_LIMIT, FRESH, LINE_LIMIT, NAME_LIMIT, Family, parse
from tests.strict import parsed

NOW = 1_795_400_000.0
USUAL = (
    b"# made by hand\n\n"
    b"# HELP ups_charge_ratio How full,\\nby \\\\ the UPS.\n# TYPE ups_charge_ratio gauge\n"
    b'ups_charge_ratio{ups="a"} 0.5\nups_charge_ratio{ups="b",} 1\n'
    b"ups_load 12.5e-1\n"
    b"# TYPE ups_transfers_total counter\nups_transfers_total 3\n"
)

Series = tuple[str, tuple[tuple[str, str], ...]]


def samples(text: str) -> dict[Series, float]:
    """The samples of a text, of whatever family; nothing of it may be refused."""
    printed = parse(text.encode(), NOW)
    assert printed.refused == {}
    return {series: value for family in printed.families for series, value in family.samples.items()}


def refused(text: str) -> dict[str, str]:
    """What is refused of a text, and why."""
    return parse(text.encode(), NOW).refused


def body(families: list[Family]) -> str:
    """What a scrape shows of the families."""
    return join([render(metrics(families, "ups"))]).decode()


def served(text: str) -> list[str]:
    """What a scrape shows of a text, without HELP."""
    return [line for line in body(parse(text.encode(), NOW).families).splitlines() if "# HELP" not in line]


def test_a_usual_output() -> None:
    """HELP and TYPE belong to their family, samples have their labels, comments are ignored."""
    charge, load, transfers = parse(USUAL, NOW).families
    assert charge.help == "How full,\nby \\ the UPS."
    assert charge.type == "gauge"
    assert list(charge.samples.values()) == [0.5, 1.0]
    assert (load.name, load.type, load.help) == ("ups_load", None, None)
    assert transfers.type == "counter"


def test_blanks_and_line_ends_are_free() -> None:
    """Blanks and tabs between the parts are the writer's choice; Windows ends lines with two bytes."""
    assert samples('\t a {  x\t= "1" ,y="2"\t}\t 5 \r\n#TYPE  b\t gauge\nb{}7\n') == {
        ("a", (("x", "1"), ("y", "2"))): 5.0,
        ("b", ()): 7.0,
    }


def test_escapes_in_label_values() -> None:
    r"""\" and \\ mean the character; a newline is shown as the escape that it is in every label."""
    assert samples('a{x="\\"\\\\n}{,"} 1\n') == {("a", (("x", '"\\n}{,'),)): 1.0}
    assert samples('a{x="1\\n2"} 1\n') == {("a", (("x", r"1\n2"),)): 1.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+1", 1),
        ("-.5", -0.5),
        ("1.", 1),
        ("1E3", 1000),
        ("inf", math.inf),
        ("-Inf", -math.inf),
        ("+INFINITY", math.inf),
        ('5 # {trace="1"} 1 1.5', 5),
    ],
)
def test_values(text: str, value: float) -> None:
    """Numbers as Go and C print them, infinities included; an exemplar is dropped."""
    assert samples(f"a {text}\n") == {("a", ()): value}


def test_nan_is_a_value() -> None:
    """NaN is a value in the format."""
    assert math.isnan(samples("a NaN\n")["a", ()])


def test_an_empty_label_is_none() -> None:
    """For Prometheus a label without a value isn't there, so two such series are one."""
    assert samples('a{x=""} 1\n') == {("a", ()): 1.0}
    assert refused('a{x=""} 1\na 2\n') == {"a": "line 2 repeats a series"}


def test_histogram_and_summary() -> None:
    """Their samples stand under the family's one header."""
    text = (
        '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
        '# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 3\ns_count 2\n'
    )
    assert served(text) == [
        "# TYPE h histogram",
        'h_bucket{command="ups",le="1"} 1.0',
        'h_bucket{command="ups",le="+Inf"} 2.0',
        'h_sum{command="ups"} 3.0',
        'h_count{command="ups"} 2.0',
        "# TYPE s summary",
        's{command="ups",quantile="0.5"} 1.0',
        's_sum{command="ups"} 3.0',
        's_count{command="ups"} 2.0',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# TYPE a counter\na 1\n", ["# TYPE a counter", 'a{command="ups"} 1.0']),
        ("# TYPE a counter\na_total 1\n", ["# TYPE a_total counter", 'a_total{command="ups"} 1.0']),
        ("# TYPE a info\na_info 1\n", ["# TYPE a_info gauge", 'a_info{command="ups"} 1.0']),
        ("# TYPE a stateset\na 1\n", ["# TYPE a gauge", 'a{command="ups"} 1.0']),
        ("# TYPE a unknown\na 1\n", ["# TYPE a untyped", 'a{command="ups"} 1.0']),
        ("# TYPE a Gauge\na 1\n", ["# TYPE a gauge", 'a{command="ups"} 1.0']),
        ("# TYPE a meter\na 1\n", ["# TYPE a untyped", 'a{command="ups"} 1.0']),
        ("# TYPE a gauge\na 1\n# TYPE a gauge\n", ["# TYPE a gauge", 'a{command="ups"} 1.0']),
        ("# UNIT a seconds\na 1\n# EOF\n", ["# TYPE a untyped", 'a{command="ups"} 1.0']),
        ('a{command="x"} 1\n', ["# TYPE a untyped", 'a{command="ups",exported_command="x"} 1.0']),
        (
            'a{exported_command="x",command="y"} 1\n',
            ["# TYPE a untyped", 'a{command="ups",exported_command="x",exported_exported_command="y"} 1.0'],
        ),
        (
            "# TYPE process_open_fds gauge\nprocess_open_fds 1\n",
            ["# TYPE process_open_fds gauge", 'process_open_fds{command="ups"} 1.0'],
        ),
        ("# HELP a \\t\n# HELP a 2\na 1\n", ["# TYPE a untyped", 'a{command="ups"} 1.0']),
    ],
)
def test_what_is_taken(text: str, expected: list[str]) -> None:
    """What a reader of the text format would refuse, but what is clear, is served."""
    assert refused(text) == {}
    assert served(text) == expected


@pytest.mark.parametrize("age", [0, FRESH - 1, 1 - FRESH])
def test_a_timestamp_of_now_is_dropped(age: float) -> None:
    """A program that stamps its samples measured them just now; milliseconds, in OpenMetrics seconds."""
    moment = NOW - age
    assert samples(f"a 1 {moment * 1000:.0f}\n") == {("a", ()): 1}
    assert samples(f"a 1 {moment:.3f}\n# EOF\n") == {("a", ()): 1}


@pytest.mark.parametrize("stamp", ["0", "1395066363000", f"{(NOW - FRESH - 1) * 1000:.0f}", f"{NOW:.0f}"])
def test_a_value_of_another_time_is_refused(stamp: str) -> None:
    """The exporter would serve it as of now."""
    assert refused(f"a 1 {stamp}\nb 1\n") == {"a": "line 1 has a timestamp of another time"}


@pytest.mark.parametrize(
    ("line", "name", "reason"),
    [
        ("1a 5", "line 2", "has no metric name"),
        ("b-c 5", "line 2", "has no metric name"),
        ("<html>", "line 2", "has no metric name"),
        ('{"a", x="1"} 5', "line 2", "has no metric name"),
        ("# HELP a.b x", "line 2", "has no metric name"),
        ("x" * (NAME_LIMIT + 1) + " 5", "line 2", "has no metric name"),
        ("a", "a", "line 2 has no number for its value"),
        ("a 5 6 7", "a", "line 2 has more than a value and a timestamp"),
        ("a 5 x", "a", "line 2 has more than a value and a timestamp"),
        *(
            (f"a {value}", "a", "line 2 has no number for its value")
            for value in ("1_0", "0x1", "1e400", "٣", "1,5", "[N/A]", "1" * 40_000 + "x")
            if len(value) < LINE_LIMIT
        ),
        *(
            (f"a{{{labels} 5", "a", 'line 2 has labels that are not written {name="value",...}')
            for labels in ("x=1}", 'x="1"', 'x="1" y="2"}', ",}", 'x="1",,}', 'x="\\t"}', 'x="}', 'x-y="1"}')
        ),
        ('a{x="1",x="2"} 5', "a", "line 2 has a label twice, or one with an endless name"),
        ('a{__name__="x"} 5', "a", "line 2 has a label of Prometheus's own (__*)"),
        ('a{x="' + "y" * LINE_LIMIT + '"} 5', "a", "line 2 is longer than 8192 bytes"),
        ("m " + "1" * 40_000 + "x", "m", "line 2 is longer than 8192 bytes"),
        ("# TYPE a histogram\na 1", "a", "line 3 is no sample of a histogram: only a_bucket has a label le"),
        (
            "# TYPE a histogram\na_bucket 1",
            "a",
            "line 3 is no sample of a histogram: only a_bucket has a label le",
        ),
        (
            '# TYPE a histogram\na_sum{le="1"} 1',
            "a",
            "line 3 is no sample of a histogram: only a_bucket has a label le",
        ),
        ('# TYPE a histogram\na_bucket{le="x"} 1', "a", "line 3 has a label le that is no number"),
        (
            '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="1.0"} 2',
            "a",
            "line 4 repeats a series: its le was there before",
        ),
        ("# TYPE a summary\na 1", "a", "line 3 is no sample of a summary: only a has a label quantile"),
        ("a 1\na 1", "a", "line 3 repeats a series"),
        ('a{x="1",y="2"} 1\na{y="2",x="1"} 1', "a", "line 3 repeats a series"),
        ("# TYPE a gauge\n# TYPE a counter\na 1", "a", "line 3 is a second TYPE"),
        ("a 1\n# TYPE a gauge", "a", "line 3 is a TYPE after samples"),
        ("a_sum 1\n# TYPE a summary", "a", "line 3 is a TYPE after samples"),
        *(
            (f"{name} 1", name, "the name is the exporter's or Prometheus's own")
            for name in ("grid_x", "scrape_x", "up", "ALERTS", "ALERTS_FOR_STATE")
        ),
        ("# TYPE grid summary\ngrid_sum 1", "grid", "the name is the exporter's or Prometheus's own"),
    ],
)
def test_what_is_refused(line: str, name: str, reason: str) -> None:
    """A mistake costs its family, by name, or where there is none its line; the rest is served."""
    printed = parse(f"good 1\n{line}\n".encode(), NOW)
    assert printed.refused == {name: reason}
    assert "good" in {family.name for family in printed.families}
    parsed(body(printed.families))


def test_a_family_named_like_anothers_samples_is_refused() -> None:
    """Which of the two a reader would take such a sample for depends on the reader: neither is served."""
    text = '# TYPE h histogram\n# TYPE h_count gauge\nh_bucket{le="+Inf"} 1\nh_count 7\nother 1\n'
    assert refused(text) == {
        "h": "h_count is a family, too",
        "h_count": "it is a sample of the histogram h, too",
    }
    assert served(text)[1:] == ['other{command="ups"} 1.0']


def test_bytes_that_are_no_text_cost_their_family() -> None:
    """A label in another encoding is no label that can be served."""
    printed = parse(b'a 1\na{x="\xff"} 2\nb 1\n', NOW)
    assert printed.refused == {"a": "line 2 is not UTF-8"}
    assert [family.name for family in printed.families] == ["b"]


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ("b 2", ["a", "h"]),
        ("b", ["a", "h"]),
        ("a 1", ["b", "h"]),
        ('h_bucket{le="2', ["a", "b"]),
        ("h_s", ["a", "b"]),
        ("h", ["a", "b"]),
        ("c 1", ["a", "b", "h"]),
        ("# EOF", ["a", "b", "h"]),
        ("{", ["a", "b", "h"]),
    ],
)
def test_a_cut_off_line_costs_what_it_may_belong_to(end: str, kept: list[str]) -> None:
    """Its value may be cut, too, and a histogram without some of its samples would be wrong."""
    text = 'a{x="1"} 1\nb{x="1"} 1\n# TYPE h histogram\nh_bucket{le="1"} 1\n' + end
    assert [family.name for family in parse(text.encode(), NOW).families] == kept


def test_the_number_of_families_is_bounded() -> None:
    """Each costs every scrape a moment; the first ones are served."""
    printed = parse("".join(f"a{n} 1\n" for n in range(FAMILIES_LIMIT + 2)).encode(), NOW)
    assert len(printed.families) == FAMILIES_LIMIT
    assert printed.refused[f"a{FAMILIES_LIMIT}"] == f"it is one of more than {FAMILIES_LIMIT} families"


def test_near_names_are_allowed() -> None:
    """Only the names that are somebody else's are refused, not those that look alike."""
    assert len(samples("ups 1\ngrids 1\nup_x 1\nalerts 1\nprocess 1\n:grid_x 1\n")) == 6


def test_long_values_stay_apart() -> None:
    """Two long label values that differ at their end stay two series, just as the scrape shows them."""
    text = "".join(f'a{{x="{"y" * LABEL_LIMIT}{n}"}} {n}\n' for n in (1, 2))
    assert sorted(parsed(body(parse(text.encode(), NOW).families)).values()) == [1, 2]


def test_reasons_quote_nothing_but_names() -> None:
    """What a command printed by mistake may hold a secret, and everybody reads the status page."""
    text = "password hunter2\nuser=alice:hunter2\na{token=hunter2} 1\n# TYPE b hunter2\nb hunter2\n"
    assert "hunter2" not in str(refused(text).values())


names = st.sampled_from(["a", "b_total", "a_sum", "a_bucket", "a_count", "h", "up", ":x", "grid_y", "1"])
values = st.floats(width=32).map(str) | st.sampled_from(["NaN", "+Inf", "1e9", "x", "", "1 2"])
escaped = st.text().map(lambda text: text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
pairs = st.tuples(st.sampled_from(["x", "le", "quantile", "command", "__y"]), escaped | st.text())
labels = st.lists(pairs, max_size=3).map(lambda found: ",".join(f'{name}="{value}"' for name, value in found))
lines = st.one_of(
    st.builds("{} {}".format, names, values),
    st.builds("{}{{{}}} {}".format, names, labels, values),
    st.builds(
        "# TYPE {} {}".format, names, st.sampled_from(["gauge", "counter", "summary", "histogram", "x"])
    ),
    st.builds("# HELP {} {}".format, names, st.text()),
    st.text(),
)
good_lines = st.builds(
    '{}{{x="{}",quantile="1",le="2"}} {}'.format,
    st.sampled_from(["a", "a_sum", "b_total"]),
    escaped,
    st.floats(),
)
good_heads = st.lists(
    st.sampled_from(["a gauge", "a summary", "a histogram", "a untyped", "b_total counter"]),
    unique_by=lambda head: head[0],
)


def agree(data: bytes) -> None:
    """A strict reader finds in the scrape just the samples that were taken of the data."""
    families = parse(data, NOW).families
    values = [value for family in families for value in family.samples.values()]
    found = list(parsed(body(families)).values()) if families else []
    assert sorted(map(str, found)) == sorted(map(str, values))


@settings(max_examples=100)
@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Whatever a command prints, what is served of it is valid."""
    agree(data)


@settings(max_examples=200)
@given(
    st.integers(0, len(USUAL)),
    st.integers(0, 3),
    st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"\n"]),
)
def test_damaged_output(at: int, gone: int, instead: bytes) -> None:
    """A usual output with a few bytes lost, changed or added leaves a valid body."""
    agree(USUAL[:at] + instead + USUAL[at + gone :])


@settings(max_examples=200)
@given(st.lists(lines, max_size=8))
def test_nearly_the_format(text: list[str]) -> None:
    """What comes near the format leaves a valid body."""
    agree("".join(f"{line}\n" for line in text).encode("utf-8", "surrogatepass"))


@settings(max_examples=200)
@given(good_heads, st.lists(good_lines, min_size=1, max_size=8))
def test_mostly_the_format(heads: list[str], text: list[str]) -> None:
    """What keeps to the format but for a repeated series leaves a valid body."""
    agree(
        "".join(f"# TYPE {head}\n" for head in heads).encode()
        + "".join(f"{line}\n" for line in text).encode()
    )
