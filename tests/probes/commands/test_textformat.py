import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.exposition import LABEL_LIMIT, join, render
from exporter.probes.commands.probe import metrics
from exporter.probes.commands.textformat import Family, parse

USUAL = (
    b"# made by hand\n\n"
    b"# HELP ups_charge_ratio How full,\\nby \\\\ the UPS.\n# TYPE ups_charge_ratio gauge\n"
    b'ups_charge_ratio{ups="a"} 0.5\nups_charge_ratio{ups="b",} 1\n'
    b"ups_load 12.5e-1\n"
    b"# TYPE ups_transfers_total counter\nups_transfers_total 3\n"
)

Series = tuple[str, tuple[tuple[str, str], ...]]


def samples(text: str) -> dict[Series, float]:
    """The samples of a text, of whatever family."""
    return {series: value for family in parse(text.encode()) for series, value in family.samples.items()}


def shown(families: list[Family]) -> dict[Series, float]:
    """The samples as another reader of the format finds them in what a scrape shows of the families."""
    body = join([render(metrics(families, "ups"))]).decode()
    found: dict[Series, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("command") == "ups"
            series = sample.name, tuple(sorted(labels.items()))
            assert series not in found
            found[series] = sample.value
    return found


def test_a_usual_output() -> None:
    """HELP and TYPE belong to their family, samples come with their labels, comments are passed over."""
    (charge, load, transfers) = parse(USUAL)
    assert charge.help == "How full,\nby \\ the UPS."
    assert charge.type == "gauge"
    assert list(charge.samples.values()) == [0.5, 1.0]
    assert (load.name, load.type, load.help) == ("ups_load", None, None)
    assert transfers.type == "counter"


def test_blanks_and_tabs_are_free() -> None:
    """The format leaves blanks and tabs between its parts to the writer."""
    assert samples('\t a {  x\t= "1" ,y="2"\t}\t 5 \n#TYPE  b\t gauge\nb{}7\n') == {
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
    ],
)
def test_values(text: str, value: float) -> None:
    """Numbers as Go and C print them, infinities included."""
    assert samples(f"a {text}\n") == {("a", ()): value}


def test_nan_is_a_value() -> None:
    """NaN is a value in the format."""
    assert math.isnan(samples("a NaN\n")["a", ()])


def test_an_empty_label_is_none() -> None:
    """For Prometheus a label without a value isn't there, so two such series are one."""
    assert samples('a{x=""} 1\n') == {("a", ()): 1.0}
    with pytest.raises(ValueError, match=r"line 2 .* was there before"):
        parse(b'a{x=""} 1\na 2\n')


def test_histogram_and_summary() -> None:
    """Their samples stand under the family's one header."""
    (histogram, summary) = parse(
        b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
        b'# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 3\ns_count 2\n'
    )
    assert (len(histogram.samples), len(summary.samples)) == (4, 3)
    assert shown([histogram, summary]) == histogram.samples | summary.samples


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1a 5\n", "line 1 of the output: '1a' can't be a metric's name"),
        ("a 1\nb-c 5\n", "line 2 of the output: 'b-c' can't be a metric's name"),
        ("<html>\n", "'<html>' can't be a metric's name"),
        ("\ufeffa 1\n", "can't be a metric's name"),
        ('{"a", x="1"} 5\n', "'' can't be a metric's name"),
        ("# TYPE\n", "'' can't be a metric's name"),
        ("# HELP a.b x\n", "'a.b' can't be a metric's name"),
        ("a\n", "'' is no value"),
        ("a 5 6\n", "no timestamp"),
        ('a{x="1"} 5 # {y="2"} 1\n', "only the value may follow"),
        *(
            (f"a {value}\n", f"{value!r} is no value")
            for value in ("1_0", "0x1", "1e400", "٣", "1,5", "[N/A]")
        ),
        ("a{x=1} 5\n", "labels are written"),
        ('a{x="1"\n', "labels are written"),
        ('a{x="1" y="2"} 5\n', "labels are written"),
        ("a{,} 5\n", "labels are written"),
        ('a{x="1",,} 5\n', "labels are written"),
        ('a{x="\\t"} 5\n', "labels are written"),
        ('a{x="} 5\n', "labels are written"),
        ('a{x-y="1"} 5\n', "labels are written"),
        ('a{x="1",x="2"} 5\n', "the label x twice"),
        ('a{command="x"} 5\n', "the label command is"),
        ('a{__name__="x"} 5\n', "the label __name__ is"),
        ("a 1\na 1\n", "line 2 of the output: this series of a was there before"),
        ('a{x="1",y="2"} 1\na{y="2",x="1"} 1\n', "was there before"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "a second TYPE for a"),
        ("# HELP a 1\n# HELP a 1\n", "a second HELP for a"),
        ("# HELP a \\t\n", "a backslash in HELP"),
        ("a 1\n# TYPE a gauge\n", "TYPE comes after samples of a"),
        ("a_sum 1\n# TYPE a summary\n", "TYPE comes after samples of a"),
        ("# TYPE a meter\n", "'meter' is no type"),
        ("# TYPE a Gauge\n", "'Gauge' is no type"),
        ("# TYPE a counter\n", "a_total"),
        ("# TYPE _total counter\n", "_total_total"),
        ("# TYPE a histogram\na 1\n", "the histogram a has samples a_bucket"),
        ("# TYPE a histogram\na_bucket 1\n", "a_bucket lacks the label le of a histogram"),
        ("# TYPE a summary\na 1\n", "a lacks the label quantile of a summary"),
        *((f"{name} 1\n", "others' names") for name in ("grid_x", "process_x", "scrape_x", "up", "ALERTS")),
        ("# TYPE grid_x gauge\n", "others' names"),
        ("# TYPE grid summary\ngrid_sum 1\n", "line 2 of the output: grid_sum: "),
        ("a 1\r\n", "carriage return"),
        ("a 1\n# EOF\n", "line 2 of the output: this is OpenMetrics"),
        ("a 1\nb 2", "line 2 of the output: cut off"),
        ("a 1\n" + "x" * 10000 + "{\n", "line 2 of the output: labels"),
    ],
)
def test_what_is_wrong_and_where(text: str, reason: str) -> None:
    """Every mistake costs the whole output, with the line and a word for a person."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared in full below
        parse(text.encode())
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 400


def test_not_utf8() -> None:
    """Bytes that are no text are a mistake like any other."""
    with pytest.raises(ValueError, match="line 2 of the output: not UTF-8"):
        parse(b'a 1\na{x="\xff"} 2\n')


def test_near_names_are_allowed() -> None:
    """Only the names that are somebody else's are refused, not those that look alike."""
    assert len(samples("ups 1\ngrids 1\nup_x 1\nalerts 1\nprocess 1\n:grid_x 1\n")) == 6


def test_long_values_stay_apart() -> None:
    """Two long label values that differ at their end stay two series, just as the scrape shows them."""
    both = parse("".join(f'a{{x="{"y" * LABEL_LIMIT}{n}"}} {n}\n' for n in (1, 2)).encode())
    assert shown(both) == both[0].samples
    assert sorted(both[0].samples.values()) == [1, 2]


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
    """Refuses the data with a reason, or takes it just as another reader finds it in the scrape."""
    try:
        families = parse(data)
    except ValueError:
        return
    mine = {series: value for family in families for series, value in family.samples.items()}
    theirs = shown(families)
    assert mine.keys() == theirs.keys()
    assert all(theirs[series] == value or math.isnan(value) for series, value in mine.items())


@settings(max_examples=100)
@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Whatever a command prints, it is refused with a reason or shown as it is."""
    agree(data)


@settings(max_examples=200)
@given(
    st.integers(0, len(USUAL)),
    st.integers(0, 3),
    st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"\n"]),
)
def test_damaged_output(at: int, gone: int, instead: bytes) -> None:
    """A usual output with a few bytes lost, changed or added is refused or shown as it then is."""
    agree(USUAL[:at] + instead + USUAL[at + gone :])


@settings(max_examples=200)
@given(st.lists(lines, max_size=8))
def test_nearly_the_format(text: list[str]) -> None:
    """What comes near the format is refused or shown as it is."""
    agree("".join(f"{line}\n" for line in text).encode("utf-8", "surrogatepass"))


@settings(max_examples=200)
@given(good_heads, st.lists(good_lines, min_size=1, max_size=8))
def test_mostly_the_format(heads: list[str], text: list[str]) -> None:
    """What keeps to the format but for a repeated series is shown as it is."""
    agree(
        "".join(f"# TYPE {head}\n" for head in heads).encode()
        + "".join(f"{line}\n" for line in text).encode()
    )
