"""The rules of Grafana's dashboard-linter, and a few more.

The linter checks some kinds of panels only; here every rule holds for every panel. What departs from a rule
stands in EXCEPTIONS with its reason, and a reason that nothing needs any more fails too.
"""

from __future__ import annotations

import re

import pytest

from tests.grafana.dashboards import (
    AGGREGATED_BY,
    ALL,
    SELECTOR,
    STRING,
    UIDS,
    Json,
    annotation_queries,
    every_query,
    metrics,
    organized,
    panels,
    targets,
    variable_queries,
)

UNITS = {
    *("none", "short", "string", "percentunit", "bytes", "decbytes", "Bps", "s"),
    *("celsius", "watt", "watth", "hertz", "dateTimeAsIso", "reqps"),
}
# Rule, then an expression for what departs from it, then why.
EXCEPTIONS = (
    (
        "template-job",
        "allValue",
        "With .+ every other target would count as a box: All is every job that has an exporter.",
    ),
    (
        "target-counter-agg",
        "grid_gpu_ecc_errors_total",
        "The count since the driver was loaded is what matters: one error an hour ago still spoils results.",
    ),
    (
        "target-counter-agg",
        "grid_gpu_ecc_errors_lifetime_total",
        "The level over the GPU's life is shown, which a rate would hide.",
    ),
    (
        "target-rate-interval",
        r"rate\(grid_pressure_stalled_seconds_total\{[^}]*\}\[5m\]",
        "A state must not depend on the zoom: the window is the alert's, and that of the recorded code.",
    ),
    (
        "panel-units",
        "prefix:P",
        "A performance state is written P0 to P15: the unit is a prefix of our own.",
    ),
    (
        "panel-units",
        "'time:(MM-DD HH:mm|YYYY-MM-DD)'",
        "Shorter than Grafana's own formats of times, so that a phone shows them.",
    ),
    (
        "panel-units",
        "'ms'",
        "The length of an alert is a difference of Grafana's own times, which are in milliseconds.",
    ),
)
EVERY_PAGE = pytest.mark.parametrize("page", ALL, ids=UIDS)


def excepted(rule: str, text: str) -> bool:
    """Whether what departs from a rule has a reason to."""
    return any(rule == name and re.search(pattern, text) for name, pattern, _ in EXCEPTIONS)


def variable(page: Json, name: str) -> Json:
    """A page's variable."""
    (found,) = [each for each in page["templating"]["list"] if each["name"] == name]
    return dict(found)


@EVERY_PAGE
def test_template_datasource(page: Json) -> None:
    """One data source is chosen, under the usual name."""
    (source,) = [each for each in page["templating"]["list"] if each["type"] == "datasource"]
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")


@EVERY_PAGE
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance(page: Json, name: str) -> None:
    """Job and instance can be chosen, several at once, from the chosen data source."""
    choice = variable(page, name)
    assert (choice["type"], choice["label"], choice["multi"]) == ("query", name.capitalize(), True)
    assert choice["datasource"]["uid"] == "${datasource}"
    assert choice.get("allValue") == (".+" if name == "instance" and page["uid"] == "grid-fleet" else None)


@EVERY_PAGE
def test_pages_start_with_one_box_and_fleet_with_all(page: Json) -> None:
    """Where there is All, Grafana begins with it: only Fleet has it, and does not pass it on."""
    many = page["uid"] == "grid-fleet"
    choice = variable(page, "instance")
    assert choice["includeAll"] is many
    assert choice.get("current", {}).get("value") in ((["$__all"],) if many else (None, [], ""))
    assert {link["includeVars"] for link in page["links"]} == {not many}
    assert variable(page, "job")["current"]["value"] == ["$__all"]


def test_template_category() -> None:
    """Services chooses categories too; All are also the services that have none."""
    (services,) = [page for page in ALL if page["uid"] == "grid-services"]
    choice = variable(services, "category")
    assert (choice["label"], choice["multi"], choice["allValue"]) == ("Category", True, ".*")


@EVERY_PAGE
def test_template_on_time_change_reload(page: Json) -> None:
    """Choices follow the time range: a box of last week can be chosen when looking at last week."""
    asked = [each for each in page["templating"]["list"] if each["type"] == "query"]
    assert {each["refresh"] for each in asked} == {2}


@EVERY_PAGE
@pytest.mark.parametrize("name", ["who", "many", "shown"])
def test_derived_variables_are_hidden(page: Json, name: str) -> None:
    """What follows from the choice of boxes is hidden, and no link carries it to another page."""
    derived = variable(page, name)
    assert (derived["hide"], derived["skipUrlSync"]) == (2, True)
    assert derived["multi"] == derived["includeAll"] == (name == "shown")


@EVERY_PAGE
def test_panel_datasource(page: Json) -> None:
    """Every panel, query and annotation asks the chosen data source."""
    asking = [*panels(page), *page["annotations"]["list"]]
    asking += [target for panel in panels(page) for target in panel["targets"]]
    assert {(each["datasource"]["type"], each["datasource"]["uid"]) for each in asking} == {
        ("prometheus", "${datasource}")
    }


@EVERY_PAGE
def test_panel_title_and_description(page: Json) -> None:
    """Every panel has a title and a description that is more than the title."""
    for panel in panels(page):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert len(panel["description"]) > len(panel["title"]), panel["title"]


@EVERY_PAGE
def test_panel_units(page: Json) -> None:
    """Every panel has a unit: of its own, or in its columns that are numbers, if it has any."""
    for panel in panels(page):
        units = [panel["fieldConfig"]["defaults"].get("unit")] if panel["type"] != "table" else []
        units += [change["value"] for change in _changes(panel, "unit")]
        words = panel["type"] == "table" and not any(
            "Value" in name for name in organized(panel)["renameByName"]
        )
        assert units or words, panel["title"]
        assert {
            unit for unit in units if unit not in UNITS and not excepted("panel-units", repr(unit))
        } == set(), panel["title"]


@EVERY_PAGE
def test_every_number_in_a_table_has_a_unit(page: Json) -> None:
    """A column that shows a query's values has a unit."""
    for panel in (panel for panel in panels(page) if panel["type"] == "table"):
        renamed = organized(panel)["renameByName"]
        numbers = {title for name, title in renamed.items() if name.startswith("Value")}
        with_unit = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if any(change["id"] == "unit" for change in override["properties"])
        }
        assert numbers <= with_unit, panel["title"]


@EVERY_PAGE
def test_panel_no_targets(page: Json) -> None:
    """Every panel asks something."""
    assert [panel["title"] for panel in panels(page) if not panel["targets"]] == []


@EVERY_PAGE
def test_panel_empty_state(page: Json) -> None:
    """Every panel has its own text for when there is no data: never Grafana's "No data"."""
    empty = {panel["title"]: panel["fieldConfig"]["defaults"].get("noValue", "") for panel in panels(page)}
    assert [title for title, text in empty.items() if not text or text == "No data"] == []


@EVERY_PAGE
def test_uneditable(page: Json) -> None:
    """What is edited in the browser would be lost: the page is generated."""
    assert page["editable"] is False


@EVERY_PAGE
def test_refresh_is_no_quicker_than_a_scrape(page: Json) -> None:
    """No page refreshes more often than the boxes are scraped."""
    number, unit = re.fullmatch(r"(\d+)([smh])", page["refresh"]).groups()  # type: ignore[union-attr]
    assert int(number) * {"s": 1, "m": 60, "h": 3600}[unit] >= 15


def test_target_job_and_instance() -> None:
    """Every selector is narrowed to the chosen boxes, and no metric stands without a selector."""
    for where, expr in every_query():
        if where.split("$")[-1] in {"job", "instance"}:
            continue  # the choices themselves: of all there is
        selectors = SELECTOR.findall(expr)
        for metric, matchers in selectors:
            assert 'job=~"$job"' in matchers, f"{where}: {metric}"
            assert re.search(r'instance=~"\$(instance|shown)"', matchers), f"{where}: {metric}"
        assert metrics(expr) == {metric for metric, _ in selectors}, where


def test_target_rate_interval() -> None:
    """A rate's window follows the zoom and the interval of the scrapes."""
    windows = re.compile(r"\b(?:rate|irate)\([^\[\]]*\[[^\]]*\]")
    for target in targets():
        for rate in windows.findall(target.expr):
            assert "[$__rate_interval]" in rate or excepted("target-rate-interval", rate), str(target)


def test_target_counter_agg() -> None:
    """A counter is read by its growth."""
    grown = re.compile(r"\b(?:rate|increase)\(\s*(\w+)\{")
    for target in targets():
        counters = {metric for metric in metrics(target.expr) if metric.endswith("_total")}
        bare = {metric for metric in counters if not excepted("target-counter-agg", metric)}
        assert bare <= set(grown.findall(target.expr)), str(target)
        assert all(
            target.expr.count(metric + "{") == grown.findall(target.expr).count(metric) for metric in bare
        )


def test_no_zero_where_nothing_is_known() -> None:
    """A number from vector() would turn "unknown" into a healthy zero; only severities have one."""
    made_up = {target.panel for target in targets() if "vector(" in target.expr}
    assert made_up == {"Firing alerts"}


def test_no_query_reads_logs() -> None:
    """The linter's rules on LogQL hold because there is none."""
    assert all("|=" not in expr and "|~" not in expr for _, expr in every_query())


def test_every_exception_is_needed() -> None:
    """Each exception departs from its rule somewhere still."""
    everything = "\n".join([*(target.expr for target in targets()), *map(str, ALL)])
    for rule, pattern, reason in EXCEPTIONS:
        assert reason.endswith(".")
        assert pattern == "allValue" or re.search(pattern, everything), (rule, pattern)
    assert all("allValue" not in variable(page, "job") for page in ALL)


def test_reboots_and_alerts_are_annotated_on_every_page() -> None:
    """Every page annotates reboots and alerts; Tor's also changes of the exit."""
    annotated = {page["uid"]: [each["name"] for each in page["annotations"]["list"]] for page in ALL}
    assert all(names[:2] == ["Reboots", "Alerts"] for names in annotated.values())
    assert annotated["grid-tor"][2:] == ["Exit changes"]
    assert all(each["useValueForTime"] for page in ALL for each in page["annotations"]["list"])


def test_variables_and_annotations_are_found() -> None:
    """The helpers of these tests find queries; otherwise the rules above would test nothing."""
    assert len(list(variable_queries())) == 5 * len(ALL) + 2
    assert len(list(annotation_queries())) == 2 * len(ALL) + 1
    assert sum(len(panels(page)) for page in ALL) > 60
    assert STRING.sub("", AGGREGATED_BY.sub("", 'max by (job) (up{a="b"})')) == "max  (up{a=})"


def _changes(panel: Json, name: str) -> list[Json]:
    overrides = panel["fieldConfig"]["overrides"]
    return [change for override in overrides for change in override["properties"] if change["id"] == name]
