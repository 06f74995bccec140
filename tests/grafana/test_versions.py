"""Grafana 11, 12 and 13 all know what the dashboards and the provisioning files ask for.

The names are those that the packages ``@grafana/schema`` 11.0.0, 12.4.0 and 13.2.3 have in common, and the
structs of ``pkg/services/provisioning``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from grafana.generate import DASHBOARDS
from tests.grafana.dashboards import ALL, Json, panels

LEGEND = {"calcs", "displayMode", "placement", "showLegend", "sortBy", "sortDesc", "width"}
REDUCED = {"reduceOptions", "orientation", "text"}
OPTIONS = {
    "stat": REDUCED
    | {"colorMode", "graphMode", "justifyMode", "showPercentChange", "textMode", "wideLayout"},
    "table": {"cellHeight", "frameIndex", "showHeader", "showTypeIcons", "sortBy"},
    "timeseries": {"legend", "tooltip", "timezone", "orientation"},
    "state-timeline": {"alignValue", "legend", "mergeValues", "rowHeight", "showValue", "tooltip"},
    "bargauge": REDUCED
    | {"displayMode", "maxVizHeight", "minVizHeight", "minVizWidth", "namePlacement"}
    | {"showUnfilled", "sizing", "valueMode"},
}
# Known to some of the versions only, and why that does no harm.
SOME = {
    ("state-timeline", "perPage"): "11.0 shows all rows at once.",
    ("table", "wrapText"): "A property of the cell in late 11s, where both are set; 11.0 cuts long names.",
    ("table", "hidden"): "What 11 calls so, 12 and 13 call hideFrom: both are set.",
}
CUSTOM = {
    "table": {"align", "cellOptions", "inspect", "minWidth", "width", "hideFrom"},
    "timeseries": {"axisSoftMax", "drawStyle", "fillOpacity", "hideFrom", "lineInterpolation", "lineStyle"}
    | {"lineWidth", "scaleDistribution", "showPoints", "stacking", "thresholdsStyle"},
    "state-timeline": {"fillOpacity", "lineWidth", "hideFrom"},
}
FIELD = {
    "color",
    "decimals",
    "displayName",
    "links",
    "mappings",
    "max",
    "min",
    "noValue",
    "thresholds",
    "unit",
}
CELLS = {"auto", "color-background", "color-text", "gauge"}
TRANSFORMATIONS = {"calculateField", "filterFieldsByName", "groupBy", "merge", "organize"} | {
    "partitionByValues"
}
VARIABLES = {"datasource", "query", "textbox"}
PROVIDER = {"name", "type", "orgId", "folder", "folderUid", "editable", "options"} | {
    *("disableDeletion", "updateIntervalSeconds", "allowUiUpdates"),
}
SOURCE = {"orgId", "orgName", "version", "name", "type", "access", "url", "user", "database", "basicAuth"} | {
    *("basicAuthUser", "withCredentials", "isDefault", "correlations", "jsonData", "secureJsonData"),
    *("editable", "uid"),
}
EVERY = [panel for page in ALL for panel in panels(page)]


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_are_known_to_every_version(kind: str) -> None:
    """A panel asks for nothing that one of the versions would drop in silence, or was removed."""
    asked = {name for panel in EVERY if panel["type"] == kind for name in panel["options"]}
    assert {name for name in asked - OPTIONS[kind] if (kind, name) not in SOME} == set()


def test_only_known_panels() -> None:
    """No panel is of a kind that a version lacks or removed."""
    assert {panel["type"] for panel in EVERY} == OPTIONS.keys()


@pytest.mark.parametrize("kind", OPTIONS)
def test_field_properties_are_known_to_every_version(kind: str) -> None:
    """Neither the fields' defaults nor an override of some of them."""
    asked = {name for panel in EVERY if panel["type"] == kind for name, _ in _properties(panel)}
    custom = {name.removeprefix("custom.") for name in asked if name.startswith("custom.")}
    assert {name for name in custom - CUSTOM.get(kind, set()) if (kind, name) not in SOME} == set()
    assert {name for name in asked if not name.startswith("custom.")} <= FIELD


def test_cells_legends_and_transformations_are_known() -> None:
    """Kinds of cells, what legends and tooltips are asked for, and how tables are arranged."""
    cells = {cell["type"] for panel in EVERY for name, cell in _properties(panel) if "cellOptions" in name}
    legends = {name for panel in EVERY for name in panel["options"].get("legend", {})}
    steps = {step["id"] for panel in EVERY for step in panel.get("transformations", [])}
    assert cells <= CELLS
    assert legends <= LEGEND
    assert steps <= TRANSFORMATIONS


def test_hidden_columns_are_hidden_in_every_version() -> None:
    """The property was renamed: a column has both or neither."""
    for panel in EVERY:
        names = [name for name, _ in _properties(panel)]
        hidden = names.count("custom.hidden")
        assert not hidden or hidden <= names.count("custom.hideFrom")


def test_names_wrap_in_every_version() -> None:
    """The property moved: a column has both or neither."""
    for panel in EVERY:
        wrapped = [name for name, value in _properties(panel) if name == "custom.wrapText" and value]
        cells = [value for name, value in _properties(panel) if name == "custom.cellOptions"]
        assert len(wrapped) == len([cell for cell in cells if cell.get("wrapText")])


def test_variables_are_known() -> None:
    """Variables are of kinds that all versions have."""
    assert {variable["type"] for page in ALL for variable in page["templating"]["list"]} == VARIABLES


def test_exceptions_are_needed() -> None:
    """What only some versions know is asked for somewhere."""
    asked = {(panel["type"], name) for panel in EVERY for name in panel["options"]}
    asked |= {
        (panel["type"], name.removeprefix("custom.")) for panel in EVERY for name, _ in _properties(panel)
    }
    assert SOME.keys() <= asked


@pytest.mark.parametrize(("what", "known"), [("dashboards", PROVIDER), ("datasources", SOURCE)])
def test_provisioning_is_known_to_every_version(what: str, known: set[str]) -> None:
    """Grafana reads the files as version 1 and would ignore a key that it does not know."""
    (path,) = Path(DASHBOARDS.parent / "provisioning" / what).glob("*.yaml")
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    (entry,) = loaded["providers" if what == "dashboards" else "datasources"]
    assert loaded["apiVersion"] == 1
    assert entry.keys() <= known


def _properties(panel: Json) -> Iterator[tuple[str, Json]]:
    """What a panel sets of its fields, by name, in its defaults and its overrides."""
    defaults = panel["fieldConfig"]["defaults"]
    yield from ((name, value) for name, value in defaults.items() if name != "custom")
    yield from ((f"custom.{name}", value) for name, value in defaults.get("custom", {}).items())
    for override in panel["fieldConfig"]["overrides"]:
        yield from ((change["id"], change["value"]) for change in override["properties"])
