import time
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.probe import Note
from exporter.status.page import HEADERS, STYLE, status_page
from tests.scene import BROKEN, FINDINGS, HOST, NOT_ASKED, Scene, Told, bare, eventful, found, hostile
from tests.scripted import Script

WORKS = found(HOST)
NOTED = found(HOST, *FINDINGS)
KNOWN = {
    *("html", "head", "meta", "title", "link", "style", "body", "header", "nav", "main", "section"),
    *("h1", "h2", "h3", "p", "span", "time", "ul", "li", "a", "wbr", "div", "dl", "dt", "dd", "pre", "code"),
}


class Reader(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its text by element."""

    def __init__(self, markup: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(markup.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "wbr"}:
            self._open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """It has to be the last that began."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text belongs to every element around it."""
        for tag in self._open:
            self.text[tag][-1] += data


async def read(scene: Scene) -> Reader:
    """The page of a scene."""
    made = await scene.exporter()
    try:
        return Reader(status_page(made))
    finally:
        await scene.end(made)


async def test_who_needs_a_person_comes_first() -> None:
    """Stuck, failing and noted probes, then those that work, then what is not watched."""
    told = await read(eventful())
    assert told.text["h2"] == ["Look here", "Working", "Not watched here"]
    assert told.text["h3"] == [
        "disk:/mnt/nas/models", "gpu", "aide",
        "host", "disk:/ai/models", "tor", "containers", "services", "command:ups",
        "disk:/home/ada/.cache/huggingface/hub",
        "commands",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ([], "!Nothing is watched yet."),
        ([WORKS], "✓The one probe works."),
        ([WORKS, WORKS], "✓All 2 probes work."),
        ([WORKS, BROKEN], "✗1 of 2 probes can't find out."),
        ([NOTED], "!1 of 1 probe works, but look."),
        ([NOTED, NOTED, None], "!2 of 3 probes work, but look; 1 in the first run."),
        ([WORKS, None], "✓1 of 2 probes in the first run."),
        ([BROKEN, BROKEN, NOTED, WORKS], "✗2 of 4 probes can't find out; 1 works, but look."),
    ],
)
async def test_the_verdict(told: list[Told], verdict: str) -> None:
    """One sentence says how all fare, with a sign before it, which the tab shows too."""
    said = await read(Scene({f"p{number}": each for number, each in enumerate(told)}))
    assert said.text["p"][0] == verdict
    assert said.text["title"][0].startswith(f"{verdict[0]} ")


async def test_what_is_off_for_one_reason_stands_together() -> None:
    """Five kinds that are merely not configured are one row, not five."""
    told = await read(
        Scene({"host": WORKS}, {"gpu": NOT_ASKED, "tor": Note("no Tor here"), "aide": NOT_ASKED})
    )
    assert told.text["h3"] == ["host", "gpu, aide", "tor"]


async def test_the_way_to_configure_is_told_where_there_is_something_to_configure() -> None:
    """Whoever sees a piece of configuration learns where it goes, and that a file replaces all discovery."""
    assert any("--config.file" in said for said in (await read(bare())).text["p"])
    told = await read(Scene({"host": WORKS}, {"gpu": NOT_ASKED}))
    assert not any("--config.file" in said for said in told.text["p"])


async def test_a_faulty_configuration_is_told() -> None:
    """A configuration that was refused is trouble, though every probe works."""
    made = await Scene({"host": WORKS}).exporter()
    assert b"faulty" not in status_page(made)
    made.own.reload.successful = False
    told = Reader(status_page(made))
    assert told.text["title"][0].startswith("✗ ")
    assert any("faulty" in said for said in told.text["p"])


async def test_hostile_names_bring_no_element_and_no_attribute() -> None:
    """Of what the page is built, honest names and hostile ones give the same kinds."""
    honest, evil = [
        {(tag, *attributes) for tag, attributes in (await read(scene)).elements}
        for scene in (eventful(), hostile())
    ]
    assert evil <= honest | {("pre",)}
    assert not {"script", "img", "iframe", "form", "object"} & {tag for tag, *_ in evil}


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(st.lists(st.text(), min_size=1, max_size=4, unique=True), st.text(), st.text())
def test_any_names_make_a_whole_page(names: list[str], source: str, text: str) -> None:
    """Every element that is opened is closed, each probe has its heading, and nothing is lost."""
    probes = tuple(Script(f"disk:{name}").probe() for name in names)
    made = Exporter(Plan({}, probes, {"gpu": Note(text, text)}, source))
    told = Reader(status_page(made))
    assert len(told.text["h3"]) == len(names) + 1
    assert {tag for tag, _ in told.elements} <= KNOWN


async def test_it_needs_nothing_from_elsewhere() -> None:
    """No script, no style but the one that the policy names by its digest, no address but its own."""
    told = await read(eventful())
    addresses = [v for _, attributes in told.elements for k, v in attributes.items() if k in {"href", "src"}]
    assert all(str(address).startswith(("/", "data:image/svg+xml,")) for address in addresses)
    assert not any("style" in attributes or "onclick" in attributes for _, attributes in told.elements)
    assert told.text["style"] == [STYLE]
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "script" not in HEADERS["Content-Security-Policy"]


async def test_a_big_box_does_not_hold_the_loop() -> None:
    """Thirty directories of 200 models and a thousand containers are shown at once: scrapes wait for it."""
    models = "".join(f'grid_directory_entry_size_bytes{{entry="m{n}"}} 1\n' for n in range(200))
    states = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
    containers = "".join(
        f'grid_container_state{{container="c{n}",state="{s}"}} 1\n' for n in range(1000) for s in states
    )
    told: dict[str, Told] = {f"disk:/{n}": found(models) for n in range(30)}
    made = await Scene({**told, "containers": found(containers)}).exporter()
    started = time.perf_counter()
    status_page(made)
    assert time.perf_counter() - started < 1
