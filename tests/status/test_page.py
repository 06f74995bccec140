import time
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.load import Plan
from exporter.engine.exporter import Exporter
from exporter.probe import Note
from exporter.status.page import HEADERS, STYLE, status_page
from tests.clock import now, virtual_time
from tests.scene import BROKEN, DIFFERENCES, HOST, NOT_ASKED, Outcome, Scene, bare, eventful, hostile, result
from tests.scripted import Script

WORKS = result(HOST)
WARNING = result(HOST, *DIFFERENCES)
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
    made = await scene.exporter(now)
    try:
        return Reader(status_page(made))
    finally:
        await scene.end(made)


@virtual_time
async def test_what_needs_attention_comes_first() -> None:
    """Stuck, failing, then warnings; then probes that work; then kinds that are off."""
    page = await read(eventful())
    assert page.text["h2"] == ["Needs attention", "Working", "Not monitored"]
    assert page.text["h3"] == [
        "disk:/mnt/nas/models", "gpu", "aide",
        "host", "disk:/ai/models", "tor", "containers", "services", "llm:ollama",
        "disk:/home/ada/.cache/huggingface/hub",
        "commands",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([], "!Nothing is monitored yet."),
        ([WORKS], "✓The one probe works."),
        ([WORKS, WORKS], "✓All 2 probes work."),
        ([WORKS, BROKEN], "✗2 probes: 1 failing."),
        ([WARNING], "!1 probe: 1 with a warning."),
        ([WARNING, WARNING, None], "!3 probes: 2 with a warning, 1 in the first run."),
        ([WORKS, None], "✓2 probes: 1 in the first run."),
        ([BROKEN, BROKEN, WARNING, WORKS], "✗4 probes: 2 failing, 1 with a warning."),
    ],
)
@virtual_time
async def test_the_verdict(outcomes: list[Outcome], verdict: str) -> None:
    """One sentence on all probes, with a sign before it, which the tab shows too."""
    page = await read(Scene({f"p{number}": each for number, each in enumerate(outcomes)}))
    assert page.text["p"][0] == verdict
    assert page.text["title"][0].startswith(f"{verdict[0]} ")


@virtual_time
async def test_kinds_off_for_one_reason_share_a_row() -> None:
    """Five kinds that are merely not configured are one row, not five."""
    page = await read(
        Scene({"host": WORKS}, {"gpu": NOT_ASKED, "tor": Note("no Tor here"), "aide": NOT_ASKED})
    )
    assert page.text["h3"] == ["host", "gpu, aide", "tor"]


@virtual_time
async def test_a_snippet_comes_with_how_to_configure() -> None:
    """Where a hint is a piece of configuration, the page explains where it goes."""
    assert any("--config.file" in text for text in (await read(bare())).text["p"])
    page = await read(Scene({"host": WORKS}, {"gpu": NOT_ASKED}))
    assert not any("--config.file" in text for text in page.text["p"])


@virtual_time
async def test_a_refused_configuration_is_shown() -> None:
    """A configuration that was refused is an error, though every probe works."""
    made = await Scene({"host": WORKS}).exporter(now)
    assert b"refused" not in status_page(made)
    made.own.reload.successful = False
    page = Reader(status_page(made))
    assert page.text["title"][0].startswith("✗ ")
    assert any("refused" in text for text in page.text["p"])


@virtual_time
async def test_hostile_names_make_no_markup() -> None:
    """Hostile names give the same elements and attributes as honest ones."""
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
    page = Reader(status_page(made))
    assert len(page.text["h3"]) == len(names) + 1
    assert {tag for tag, _ in page.elements} <= KNOWN


@virtual_time
async def test_the_page_loads_nothing() -> None:
    """No script, no style but the one that the policy names by its digest, no address but its own."""
    page = await read(eventful())
    addresses = [v for _, attributes in page.elements for k, v in attributes.items() if k in {"href", "src"}]
    assert all(str(address).startswith(("/", "data:image/svg+xml,")) for address in addresses)
    assert not any("style" in attributes or "onclick" in attributes for _, attributes in page.elements)
    assert page.text["style"] == [STYLE]
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "script" not in HEADERS["Content-Security-Policy"]


async def test_a_big_host_does_not_hold_the_loop() -> None:
    """Thirty directories of 200 models and a thousand containers are shown at once: scrapes wait for it."""
    models = "".join(f'grid_directory_entry_size_bytes{{entry="m{n}"}} 1\n' for n in range(200))
    states = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
    containers = "".join(
        f'grid_container_state{{container="c{n}",state="{s}"}} 1\n' for n in range(1000) for s in states
    )
    disks: dict[str, Outcome] = {f"disk:/{n}": result(models) for n in range(30)}
    made = await Scene({**disks, "containers": result(containers)}).exporter()
    started = time.process_time()
    status_page(made)
    assert time.process_time() - started < 1


async def test_a_phone_gets_its_own_width() -> None:
    """The viewport is an attribute, and nothing of the head is shown as text."""
    scene = bare()
    exporter = await scene.exporter()
    page = status_page(exporter).decode()
    await scene.end(exporter)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert page.index("<body>") > page.rindex("device-width")
