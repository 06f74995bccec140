import string

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import LABEL_LIMIT, batches, clean, join, merge, render


def family(*samples: tuple[str, float], name: str = "grid_x") -> Metric:
    metric = GaugeMetricFamily(name, "An x.", labels=["name"])
    for label, value in samples:
        metric.add_metric([label], value)
    return metric


def test_a_family_renders_as_prometheus_reads_it() -> None:
    """HELP, TYPE, and a line a sample."""
    assert join([render([family(("a", 1), ("b", 2.5))])]) == (
        b'# HELP grid_x An x.\n# TYPE grid_x gauge\ngrid_x{name="a"} 1.0\ngrid_x{name="b"} 2.5\n'
    )


def test_one_familys_samples_from_several_runs_stand_under_one_header() -> None:
    """Each directory has its own run, but the format wants a family in one piece."""
    body = join(
        [render([family(("a", 1))]), render([family(("z", 0), name="grid_y")]), render([family(("b", 2))])]
    )
    assert body.count(b"# TYPE grid_x") == 1
    assert body.index(b'grid_x{name="b"}') < body.index(b"# TYPE grid_y")


def test_a_series_found_twice_comes_out_once() -> None:
    """In one run or in two: a second sample of one series would cost the whole scrape."""
    twice = render([family(("a", 1), ("a", 2))])
    assert join([twice, render([family(("a", 3), ("b", 4))])]).decode().splitlines()[2:] == [
        'grid_x{name="a"} 1.0',
        'grid_x{name="b"} 4.0',
    ]


@given(st.lists(st.integers(min_value=0, max_value=25), max_size=8))
def test_families_rendered_in_batches_are_the_same_families(sizes: list[int]) -> None:
    """However they are cut, nothing is lost, doubled or out of order, and no batch is large."""
    families = [family(*((str(n), n) for n in range(size)), name=f"x{at}") for at, size in enumerate(sizes)]
    cut = list(batches(families, 10))
    assert merge(map(render, cut)) == render(families)
    assert all(sum(len(piece.samples) for piece in batch) < 20 for batch in cut)


def test_a_counter_and_a_gauge_of_its_bare_name_are_two() -> None:
    """A counter's name lacks its _total until it is printed; the printed name tells families apart."""
    gauge, counter = Metric("x", "A gauge.", "gauge"), Metric("x", "A counter.", "counter")
    gauge.add_sample("x", {}, 1)
    counter.add_sample("x_total", {}, 2)
    assert list(render([gauge, counter])) == ["x", "x_total"]


def test_a_family_of_another_type_is_left_out() -> None:
    """Under one header there can be samples of one type only: those of the first that has the name."""
    other = Metric("grid_x", "Another x.", "unknown")
    other.add_sample("grid_x", {"name": "z"}, 1)
    body = join([render([family(("a", 1))]), render([other]), render([family(("b", 2))])]).decode()
    assert body.splitlines()[1:] == ["# TYPE grid_x gauge", 'grid_x{name="a"} 1.0', 'grid_x{name="b"} 2.0']


def test_hostile_names_stay_apart_and_readable() -> None:
    """Raw bytes, control characters and NUL become visible escapes; printable text of any script stays."""
    assert clean("a\udcffb") == r"a\xffb"
    assert clean("a\x00b\nc\x1b") == r"a\x00b\nc\x1b"
    assert clean("модель 模型 🦙") == "модель 模型 🦙"


def test_long_names_are_cut_and_stay_two() -> None:
    """10,000 characters that differ in the last are two short names."""
    one, other = clean("x" * 10_000 + "1"), clean("x" * 10_000 + "2")
    assert one != other
    assert len(one) == len(other) == LABEL_LIMIT


@given(
    st.lists(
        st.tuples(st.text() | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")), st.floats())
    )
)
def test_whatever_the_names_the_body_is_valid(samples: list[tuple[str, float]]) -> None:
    """Any label values give UTF-8 that parses back, each series once, with no character to trip over."""
    body = join([render([family(*samples)]), render([family(*samples[:3])])]).decode()
    (parsed,) = text_string_to_metric_families(body)
    labels = [sample.labels["name"] for sample in parsed.samples]
    assert len(labels) == len(set(labels)) == len({clean(name) for name, _ in samples})
    assert all(char.isprintable() for label in labels for char in label)


@given(st.text(alphabet=string.printable))
def test_help_texts_can_not_break_the_format(text: str) -> None:
    """A command's own HELP text is as hostile as a name."""
    metric = family(("a", 1))
    metric.documentation = text
    assert join([render([metric])]).count(b"\n") == 3
