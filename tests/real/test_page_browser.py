"""The status page in a real browser: without errors, on every width, legible, with hostile names."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from exporter.web.app import make_app
from tests.real.browser import Page, chromium
from tests.scene import HOSTILE, Scene, bare, crowded, eventful, hostile

pytestmark = pytest.mark.real("chromium")

Show = Callable[[Scene], Awaitable[str]]

SCENES = {"eventful": eventful, "hostile": hostile, "crowded": crowded, "bare": bare}
# The contrast of every text with what is behind it, the least of all, after WCAG 2.
LEAST_CONTRAST = """(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => rgb.map(channel).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, alpha = 1] = colour(getComputedStyle(e).backgroundColor);
      if (alpha == 1) return [r, g, b];
      if (alpha > 0) throw new Error("a colour that one sees through");
    }
    throw new Error("nothing is behind the text");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = 21;
  while (texts.nextNode()) {
    if (!texts.currentNode.data.trim()) continue;
    const element = texts.currentNode.parentElement;
    const [one, other] = [colour(getComputedStyle(element).color), behind(element)].map(light);
    least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
  }
  return least;
})()"""
# Elements that reach beyond the window, or hold more than they show. What is made of marks without letters to
# sit on can't be broken into lines: it is cut off at its row's end.
TOO_WIDE = """[...document.querySelectorAll("*")].filter(e =>
  !/\\p{M}{9}/u.test(e.textContent) && (
    e.getBoundingClientRect().right > innerWidth || e.clientWidth && e.scrollWidth > e.clientWidth + 1)
).map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 80)}`)"""
# What there is in the page's tree: the kinds of elements and of attributes.
KINDS = """[...new Set([...document.querySelectorAll("*")].flatMap(
  e => [e.localName, ...e.getAttributeNames().map(a => "@" + a)]))]"""
NAMES = """[...document.querySelectorAll("h3")].map(e => e.textContent)"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A tab of a fresh browser."""
    async with chromium() as tab:
        yield tab


@pytest.fixture
async def show(page: Page) -> AsyncIterator[Show]:
    """Loads the status page of a scene; gives its address."""
    shown = []

    async def load(scene: Scene) -> str:
        exporter = await scene.exporter()
        server = TestServer(make_app(exporter), host="127.0.0.1")
        await server.start_server()
        shown.append((scene, exporter, server))
        address = str(server.make_url("/"))
        await page.load(address)
        return address

    yield load
    for scene, exporter, server in shown:
        await scene.end(exporter)
        await server.close()


@pytest.mark.parametrize("name", SCENES)
async def test_it_is_legible_without_errors(name: str, page: Page, show: Show, tmp_path: Path) -> None:
    """On every width, light and dark: no error, one request, nothing too wide, contrast of WCAG AA."""
    address = await show(SCENES[name]())
    for width in (320, 400, 800, 1280):
        for dark in (False, True):
            await page.look(width, dark=dark)
            assert await page.evaluate(TOO_WIDE) == [], width
            assert await page.evaluate("document.documentElement.scrollWidth") == width
            assert await page.evaluate(LEAST_CONTRAST) >= 4.5, f"dark: {dark}"
            await page.picture(tmp_path / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    assert page.errors == []
    assert await page.evaluate("window.violations") == []
    assert [url for url in page.requests if not url.startswith("data:image/svg+xml,")] == [address]


async def test_violations_of_the_policy_are_seen(page: Page, show: Show) -> None:
    """The page's policy is active, and the tests above would notice a script, a style or a picture."""
    await show(eventful())
    await page.evaluate("document.body.append(document.createElement('script').appendChild("
                        "document.createTextNode('window.ran = 1')).parentNode)")  # fmt: skip
    await page.evaluate("document.body.setAttribute('style', 'color: red')")
    await page.evaluate("void (new Image().src = '/picture')")
    seen = await page.evaluate("new Promise(done => setTimeout(() => done(window.violations), 100))")
    assert {"script-src-elem", "style-src-attr", "img-src"} <= set(seen)
    assert await page.evaluate("window.ran") is None
    assert page.errors


async def test_hostile_names_are_inert(page: Page, show: Show) -> None:
    """Names become text and nothing else: no element or attribute is there that an honest page lacks."""
    honest: set[str] = set()
    for scene in (eventful(), bare()):
        await show(scene)
        honest |= set(await page.evaluate(KINDS))
    address = await show(hostile())
    assert set(await page.evaluate(KINDS)) <= honest
    links = await page.evaluate("[...document.links].map(a => a.href)")
    assert all(link.startswith(address) for link in links)
    names = await page.evaluate(NAMES)
    assert f"disk:{HOSTILE[0]}" in names
    assert f"disk:{HOSTILE[1]}" in names
    assert r"disk:/ai/two\nlines\tand\x1b[31m a colour\x00" in names
    assert r"disk:/ai/\u202egnp.exe\u2066\u200f" in names
    assert max(map(len, names)) <= 256


async def test_landmarks_headings_and_links(page: Page, show: Show) -> None:
    """There are landmarks, headings in order, a language, a title, and links with names."""
    await show(eventful())
    met = await page.accessible()
    roles = [role for role, _ in met]
    assert {"banner", "main", "navigation"} <= set(roles)
    assert await page.evaluate("document.documentElement.lang") == "en"
    assert ("navigation", "Endpoints") in met
    assert {"Needs attention", "Working", "Not monitored", "gpu"} <= {
        n for role, n in met if role == "heading"
    }
    levels = await page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.localName[1])")
    assert levels[:3] == [1, 2, 3]
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    assert {"Metrics", "Healthy", "Ready", "gpu", "host"} <= {name for role, name in met if role == "link"}
    assert "failing" in [name for role, name in met if role == "StaticText"]
    assert (await page.evaluate("document.title")).startswith("✗ ")


async def test_the_focus_is_visible(page: Page, show: Show) -> None:
    """Tab goes from link to link, and the one that has the focus has an outline."""
    await show(eventful())
    await page.look(1280)
    for expected in ("Metrics", "Healthy", "Ready", "disk:/mnt/nas/models"):
        await page.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == expected
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
