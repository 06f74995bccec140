"""Panels lie in Grafana's grid as they should, and have ids of their own."""

from __future__ import annotations

import itertools

import pytest

from tests.grafana.dashboards import ALL, UIDS, Json, panels

WIDTH = 24


@pytest.fixture(params=ALL, ids=UIDS)
def page(request: pytest.FixtureRequest) -> Json:
    """Each page in turn."""
    found: Json = request.param
    return found


def test_panels_fill_their_rows(page: Json) -> None:
    """Every cell of the grid down to the last panel belongs to exactly one panel: no overlap and no hole."""
    cells = [cell for panel in page["panels"] for cell in _cells(panel["gridPos"])]
    height = max(y for _, y in cells) + 1
    assert sorted(cells) == sorted(itertools.product(range(WIDTH), range(height)))


def test_panels_are_numbered(page: Json) -> None:
    """Ids are set and unique: links to a panel and annotations' filters rest on them."""
    assert [panel["id"] for panel in page["panels"]] == list(range(1, len(page["panels"]) + 1))


def test_queries_have_letters_of_their_own(page: Json) -> None:
    """A panel's queries have different letters, which overrides and columns name."""
    for panel in panels(page):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert all(target["instant"] != target["range"] for target in panel["targets"])


def test_stats_and_tables_are_instant_queries(page: Json) -> None:
    """A range query would show the last values of a box that is down as current."""
    for panel in panels(page):
        now = panel["type"] in {"stat", "table", "bargauge"}
        assert {target["instant"] for target in panel["targets"]} == {now}, panel["title"]


def test_titles_of_narrow_panels_are_not_cut(page: Json) -> None:
    """A panel of three columns has room for twelve letters beside its description icon."""
    narrow = [panel["title"] for panel in panels(page) if panel["gridPos"]["w"] == 3]
    assert [title for title in narrow if len(title) > 12] == []


def test_columns_are_found_under_their_names(page: Json) -> None:
    """Every column that a table restyles is one that its queries bring."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        organize = panel["transformations"][-1]["options"]
        titles = set(organize["renameByName"].values())
        styled = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["id"] == "byName"
        }
        assert styled == titles, panel["title"]
        assert not organize["excludeByName"].keys() & organize["renameByName"].keys()
        assert {key["displayName"] for key in panel["options"].get("sortBy", [])} <= titles


def test_annotations_point_at_panels_that_are_there(page: Json) -> None:
    """An annotation that is limited to some panels names charts of this page."""
    charts = {panel["id"] for panel in panels(page) if panel["type"] in {"timeseries", "state-timeline"}}
    for annotation in page["annotations"]["list"]:
        assert set(annotation.get("filter", {}).get("ids", [])) <= charts


def test_links_lead_to_pages_that_are_there() -> None:
    """Every link of every page and panel opens a page of ours, and every page links to all others."""
    for page in ALL:
        linked = [link["url"].removeprefix("/d/") for link in page["links"]]
        assert sorted(linked) == sorted(set(UIDS) - {page["uid"]})
        for panel in panels(page):
            for url in _urls(panel):
                assert url.removeprefix("/d/").partition("?")[0] in UIDS


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
