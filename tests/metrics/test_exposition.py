import asyncio
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import exposition
from exporter.metrics.exposition import LABEL_LIMIT, Rendered, Renderer, clean, join, render


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


def test_a_family_of_several_runs_has_one_header() -> None:
    """Each directory has its own run, but the format wants a family in one piece."""
    body = join(
        [render([family(("a", 1))]), render([family(("z", 0), name="grid_y")]), render([family(("b", 2))])]
    )
    assert body.count(b"# TYPE grid_x") == 1
    assert body.index(b'grid_x{name="b"}') < body.index(b"# TYPE grid_y")


def test_a_series_in_two_runs_is_rendered_once() -> None:
    """In one run or in two: a second sample of one series would cost the whole scrape."""
    twice = render([family(("a", 1), ("a", 2))])
    assert join([twice, render([family(("a", 3), ("b", 4))])]).decode().splitlines()[2:] == [
        'grid_x{name="a"} 1.0',
        'grid_x{name="b"} 4.0',
    ]


SIZES = st.lists(st.integers(min_value=0, max_value=250), max_size=5)


@given(SIZES, SIZES)
def test_families_rendered_run_after_run_are_the_same_families(before: list[int], now: list[int]) -> None:
    """However many samples they have, and had the run before: nothing is lost or out of order."""
    renderer = Renderer()
    for sizes in (before, now, now):
        families = [
            family(*((str(n), n) for n in range(size)), name=f"x{at}") for at, size in enumerate(sizes)
        ]
        rendered = asyncio.run(renderer.render(families))
        assert list(rendered.items()) == list(render(families).items())


async def test_an_unchanged_family_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the family in which a value, a label or the HELP changed costs anything."""
    done: list[str] = []

    def noting(families: list[Metric]) -> dict[str, Rendered]:
        done.extend(it.name for it in families)
        return render(families)

    monkeypatch.setattr(exposition, "render", noting)
    renderer = Renderer()
    for a, b in ((1, 1), (1, 1), (1, 2), (1, 2)):
        rendered = await renderer.render([family(("a", a), name="x"), family(("b", b), name="y")])
    assert done == ["x", "y", "y"]
    assert join([rendered]).endswith(b'y{name="b"} 2.0\n')
    changed = family(("a", 1), name="x")
    changed.documentation = "Another x."
    await renderer.render([changed, family(("c", 2), name="y")])
    assert done[3:] == ["x", "y"]


@pytest.mark.parametrize(
    "families",
    [[family(*((str(n), n) for n in range(1000)))], [family(("a", n), name=f"x{n}") for n in range(1000)]],
)
async def test_a_thousand_samples_do_not_hold_up_the_loop(
    families: list[Metric], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are rendered in pieces; the loop comes to others after each hundred samples, not more often."""
    pieces: list[int] = []

    def noting(families: list[Metric]) -> dict[str, Rendered]:
        pieces.extend(len(it.samples) for it in families)
        return render(families)

    monkeypatch.setattr(exposition, "render", noting)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await Renderer().render(families)
    beating.cancel()
    assert max(pieces) <= 100
    assert 9 <= beats <= 11


def test_a_counter_and_a_gauge_of_its_bare_name_are_two() -> None:
    """A counter's name lacks its _total until it is printed; the printed name distinguishes families."""
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
