"""Panels lie in Grafana's grid as they should, and have ids of their own."""

from __future__ import annotations

import itertools
import json

import pytest

from prometheus.alert import RUNBOOKS
from prometheus.health import DOMAINS, Domain
from tests.grafana.dashboards import ABSENT, ALL, EVENTS, UIDS, Json, organized, panels

WIDTH = 24
SCREEN = 22  # rows of the grid in a window of 1080 pixels
FOR_LINKS = {"Box", "instance", "page", "domain", "alertname", "from", "to"}
RUNBOOK_OF_A_ROW = "/${__data.fields.alertname}.md"
UNIT, TEXT = 38, 18  # the height of a cell of the grid, and of a line
PAGER = 105  # below the rows of a timeline in several pages, with their axis and its title
FROM_A_ROW = {"${__data.fields.page}", "grid-${__data.fields.domain}"}
# Pixels, measured in Grafana 12.2: the page's body at 1280 with the menu docked, and what text takes.
BODY, LETTER, CAPITAL, ICON, TABLE_MARGIN, HEADER, ARROW = 930, 8, 2, 40, 18, 14, 20
COUNT = 110  # of a folded row: its arrow, "(10 panels)" and the space between
PHONE = 350  # of a table in a window of 400, where panels stand below each other


@pytest.fixture(params=ALL, ids=UIDS)
def page(request: pytest.FixtureRequest) -> Json:
    """Each page in turn."""
    found: Json = request.param
    return found


def test_panels_fill_their_rows(page: Json) -> None:
    """Every cell of the grid down to the last panel belongs to exactly one panel: no overlap and no hole."""
    every = [each for panel in page["panels"] for each in (panel, *panel.get("panels", []))]
    cells = [cell for panel in every for cell in _cells(panel["gridPos"])]
    height = max(y for _, y in cells) + 1
    assert sorted(cells) == sorted(itertools.product(range(WIDTH), range(height)))


@pytest.mark.parametrize("domain", [each for each in DOMAINS if each.name != "exporter"])
def test_page_of_what_a_box_lacks_is_short(domain: Domain) -> None:
    """Its first line reports so; what would stay empty fits a screen, and the rest is folded away."""
    (page,) = [page for page in ALL if page["uid"] == domain.page]
    shown = [panel for panel in page["panels"] if panel["type"] != "row"]
    lines = [
        (panel, target)
        for panel in panels(page)
        for target in panel["targets"]
        if ABSENT.fullmatch(target["expr"])
    ]
    ((first, line),) = lines
    assert (first["type"], first["gridPos"]["y"]) == ("stat", 0)
    assert f'probe="{domain.name}"' in line["expr"]
    assert domain.absent in json.dumps(first["fieldConfig"]["overrides"])
    assert "grid-exporter doctor" in line["legendFormat"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown) <= SCREEN
    assert len(shown) <= 6


def test_panels_are_numbered(page: Json) -> None:
    """Ids are set and unique: links to a panel and annotations' filters rest on them."""
    ids = [each["id"] for panel in page["panels"] for each in (panel, *panel.get("panels", []))]
    assert ids == list(range(1, len(ids) + 1))


def test_queries_have_letters_of_their_own(page: Json) -> None:
    """A panel's queries have different letters, which overrides and columns name."""
    for panel in panels(page):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert all(target["instant"] != target["range"] for target in panel["targets"])


def test_stats_and_tables_are_instant_queries(page: Json) -> None:
    """A range query would show the last values of a box that is down as current."""
    for panel in panels(page):
        now = panel["type"] in {"stat", "table", "bargauge"} and panel["title"] != EVENTS
        assert {target["instant"] for target in panel["targets"]} == {now}, panel["title"]


def test_titles_fit_their_panels(page: Json) -> None:
    """At 1280 pixels with the menu docked, a title has room beside its description icon."""
    cut = [panel["title"] for panel in panels(page) if len(panel["title"]) * LETTER + ICON > _width(panel)]
    assert cut == []


def test_folded_titles_fit_a_phone(page: Json) -> None:
    """Beside the count of its panels, which stands where a row is folded."""
    rows = [panel["title"] for panel in page["panels"] if panel["type"] == "row" and panel["collapsed"]]
    assert [title for title in rows if len(title) * LETTER + COUNT > PHONE] == []


def test_tables_fit_their_panels(page: Json) -> None:
    """At 1280 pixels with the menu docked, the columns are no wider than the panel, whose rows may scroll."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        columns = [_column_width(override["properties"]) for override in panel["fieldConfig"]["overrides"]]
        assert sum(columns) <= _width(panel) - TABLE_MARGIN, panel["title"]


def test_tables_fit_a_phone(page: Json) -> None:
    """The columns are no wider than a phone, for several boxes too; those without a width share the rest."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        columns = [
            {change["id"]: change["value"] for change in override["properties"]}
            for override in panel["fieldConfig"]["overrides"]
        ]
        seen = [column for column in columns if not column.get("custom.hidden")]
        fixed = sum(column.get("custom.width", 0) for column in seen)
        sharing = [column["custom.minWidth"] for column in seen if "custom.minWidth" in column]
        assert fixed + len(sharing) * max(sharing, default=0) <= PHONE, panel["title"]


def test_rows_of_tables_have_their_box(page: Json) -> None:
    """Where several boxes are chosen, a row begins with its box, or has it in what it is about."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        assert {"row", "box", "instance", "what"} & organized(panel)["renameByName"].keys(), panel["title"]


def test_rows_of_timelines_can_be_read(page: Json) -> None:
    """The rows of a page of a timeline are no lower than their text."""
    for panel in (panel for panel in panels(page) if panel["options"].get("perPage")):
        rows = panel["gridPos"]["h"] * UNIT - PAGER
        assert rows / panel["options"]["perPage"] >= TEXT, panel["title"]


def test_headers_of_columns_fit(page: Json) -> None:
    """A column has room for its title, and for the arrow of those that the table is sorted by."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        sorting = {key["displayName"] for key in panel["options"].get("sortBy", [])}
        for override in panel["fieldConfig"]["overrides"]:
            title, width = override["matcher"]["options"], _column_width(override["properties"])
            letters = len(title) * LETTER + CAPITAL * sum(letter.isupper() for letter in title)
            needed = letters + HEADER + ARROW * (title in sorting)
            assert not width or needed <= width, (panel["title"], title)


def test_columns_are_found_under_their_names(page: Json) -> None:
    """Every column that a table restyles is one that its queries bring."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        organize = organized(panel)
        titles = set(organize["renameByName"].values())
        styled = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["id"] == "byName"
        }
        assert titles - {"Box"} <= styled, panel["title"]
        assert styled - titles <= FOR_LINKS, panel["title"]
        assert not organize["excludeByName"].keys() & organize["renameByName"].keys()
        assert {key["displayName"] for key in panel["options"].get("sortBy", [])} <= titles


def test_annotations_point_at_panels_that_are_there(page: Json) -> None:
    """An annotation that is limited to some panels names charts of this page."""
    charts = {panel["id"] for panel in panels(page) if panel["type"] in {"timeseries", "state-timeline"}}
    for annotation in page["annotations"]["list"]:
        assert set(annotation.get("filter", {}).get("ids", [])) <= charts


def test_links_lead_to_pages_that_are_there() -> None:
    """Every page has a menu of all pages and links to the homes, and every link of a panel opens a page."""
    for page in ALL:
        menu, *homes = page["links"]
        assert (menu["type"], menu["tags"], menu["asDropdown"]) == ("dashboards", page["tags"], True)
        linked = {link["url"].removeprefix("/d/") for link in homes}
        assert linked == {"grid-overview", "grid-changes", "grid-fleet"} - {page["uid"]}
        for panel in panels(page):
            for url in _urls(panel):
                uid = url.removeprefix("/d/").partition("?")[0]
                assert (
                    uid in {*UIDS, "${__data.fields.page}", "grid-${__data.fields.domain}"} or RUNBOOKS in url
                )


def test_overview_links_to_the_page_of_every_domain() -> None:
    """One click on a state opens its page."""
    (overview,) = [page for page in ALL if page["uid"] == "grid-overview"]
    (states,) = [panel for panel in panels(overview) if panel["title"] == "State"]
    linked = {url.removeprefix("/d/").partition("?")[0] for url in _urls(states)}
    assert linked == {domain.page for domain in DOMAINS}


def test_alerts_and_events_link_to_page_time_and_runbook() -> None:
    """A row opens the page of its domain, for its box, around its time; an alert's name its runbook."""
    rows = [panel for page in ALL for panel in panels(page) if panel["title"] in {"Firing alerts", EVENTS}]
    assert len(rows) == 3
    for panel in rows:
        moments = [url for url in _urls(panel) if "${__data.fields.page}" in url]
        assert moments
        assert all(
            "from=${__data.fields.from.numeric}&to=${__data.fields.to.numeric}" in url for url in moments
        )
        runbooks = [url for url in _urls(panel) if url.endswith(RUNBOOK_OF_A_ROW)]
        assert bool(runbooks) == (panel["title"] != EVENTS)


def _width(panel: Json) -> float:
    """The width of a panel in pixels."""
    columns: int = panel["gridPos"]["w"]
    return BODY * columns / WIDTH


def _column_width(properties: list[Json]) -> int:
    """What a column takes at least; 0 where it is hidden or only there with several boxes."""
    values = {change["id"]: change["value"] for change in properties}
    width: int = values.get("custom.width") or values.get("custom.minWidth") or 0
    return 0 if values.get("custom.hidden") else width


def _cells(place: Json) -> list[tuple[int, int]]:
    across = range(place["x"], place["x"] + place["w"])
    down = range(place["y"], place["y"] + place["h"])
    return list(itertools.product(across, down))


def _urls(panel: Json) -> list[str]:
    fields = panel["fieldConfig"]
    lists = [fields["defaults"].get("links", [])]
    lists += [
        change["value"]
        for override in fields["overrides"]
        for change in override["properties"]
        if change["id"] == "links"
    ]
    return [link["url"] for links in lists for link in links]
