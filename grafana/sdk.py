"""The official SDK, adapted: what all panels need of it, under short names and with our defaults.

Only this file and the panels beside it know the SDK. What is built is its models, plain values that encode to
the JSON that Grafana loads.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from grafana.value_mappings import Texts
from prometheus.health import CHOSEN

Panel = model.Panel
Override = model.DashboardFieldConfigSourceOverrides
Query = prometheus.Dataquery
Step = tuple[float, str]  # from this value on, this colour

# Of several boxes, charts draw those that had a problem.
DRAWN = CHOSEN.replace("$instance", "$shown")
SEVERAL = f"count(count by (instance) (up{{{CHOSEN}}})) > 1"  # whether several boxes are chosen
TIMELINE_POINTS = 300  # a state timeline needs no more

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def now(promql: str, legend: str = "") -> Query:
    """An instant query. Its ``{BOX`` stands for the chosen boxes.

    The last value of a range query would show the last values of a box that is down as current.
    """
    return _query(promql, legend).instant()


def over_time(promql: str, legend: str = "", boxes: str = DRAWN) -> Query:
    """A range query. Its ``{BOX`` stands for ``boxes``: of several chosen ones those that had a problem."""
    return _query(promql, legend, boxes).range()


def rows(query: Query) -> Query:
    """The same query with its labels as columns."""
    return query.format(PromQueryFormat.TABLE)


def _query(promql: str, legend: str, boxes: str = CHOSEN) -> Query:
    return (
        Query()
        .expr(promql.replace("{BOX", "{" + boxes))
        .legend_format(legend)
        .format(PromQueryFormat.TIME_SERIES)
        .editor_mode(QueryEditorMode.CODE)
        .datasource(SOURCE)
    )


def finish(panel: Panel, title: str, description: str, queries: Sequence[Query], empty: str) -> Panel:
    """Gives a panel what every panel has; ``empty`` is its text where there is no data."""
    panel.title = title
    panel.description = description
    panel.datasource = SOURCE
    panel.targets = [query.ref_id(letter(index)).build() for index, query in enumerate(queries)]
    fields(panel).defaults.no_value = empty
    return panel


def letter(index: int) -> str:
    """The name of a panel's query, by its place among them."""
    return string.ascii_uppercase[index]


def fields(panel: Panel) -> model.FieldConfigSource:
    """How a panel shows its fields."""
    if panel.field_config is None:
        panel.field_config = model.FieldConfigSource()
    return panel.field_config


def override(panel: Panel, matcher: str, what: str, properties: dict[str, Any]) -> None:
    """Shows some fields differently.

    Args:
        panel: the panel; a later override wins over an earlier one.
        matcher: ``byName``, ``byRegexp`` (with its slashes) or ``byFrameRefID``.
        what: the name, expression or query letter.
        properties: Grafana's names of the properties, and their values.
    """
    fields(panel).overrides.append(
        Override(
            matcher=model.MatcherConfig(id_val=matcher, options=what),
            properties=[
                model.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()
            ],
        )
    )


def transform(panel: Panel, name: str, *, of: str = "", **options: object) -> None:
    """Adds a transformation of the panel's data; ``of``: the letter of the only query that it is for."""
    step = model.DataTransformerConfig(id_val=name, options=options)
    if of:
        step.filter_val = model.MatcherConfig(id_val="byRefId", options=of)
    panel.transformations = [*(panel.transformations or []), step]


def calculate(panel: Panel, name: str, left: str, operator: str, right: str) -> None:
    """Adds a field, worked out from two others or from one and a number."""
    binary = {"left": left, "operator": operator, "right": right}
    transform(panel, "calculateField", mode="binary", alias=name, binary=binary)


def thresholds(base: str, *steps: Step) -> build.ThresholdsConfig:
    """Colours by value: ``base``, and from each step's value on its own."""
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in ((None, base), *steps)])
    )


def colour(mode: model.FieldColorModeId, fixed: str = "") -> build.FieldColor:
    """How a field gets its colour."""
    chosen = build.FieldColor().mode(mode)
    return chosen.fixed_color(fixed) if fixed else chosen


def value_map(texts: Texts) -> model.ValueMap:
    """The value mapping of texts and their colours."""
    return model.ValueMap(
        options={
            str(value): model.ValueMappingResult(text=text, color=shade, index=index)
            for index, (value, (text, shade)) in enumerate(texts.items())
        }
    )


def range_map(low: float | None, high: float | None, text: str, shade: str) -> model.RangeMap:
    """The value mapping of a range of values; None where it has no end."""
    result = model.ValueMappingResult(text=text, color=shade)
    return model.RangeMap(options=model.DashboardRangeMapOptions(from_val=low, to=high, result=result))


def null_as(text: str, shade: str) -> model.SpecialValueMap:
    """The value mapping of what has no value."""
    return model.SpecialValueMap(
        options=model.DashboardSpecialValueMapOptions(
            match=model.SpecialValueMatch.NULL_AND_NAN,
            result=model.ValueMappingResult(text=text, color=shade),
        )
    )


def plain(value: object) -> Any:
    """A model or builder as plain JSON values."""
    return json.loads(JSONEncoder().encode(value))


# What the SDK writes unasked into the options of panels, and not every Grafana from 11 to 13 knows.
NOT_EVERYWHERE = {"bargauge": {"legend"}, "stat": {"percentChangeColorMode"}, "table": {"footer"}}


def encode(dashboard: model.Dashboard) -> str:
    """A dashboard as the text of its file."""
    return json.dumps(_cleaned(plain(dashboard)), indent=1, sort_keys=True) + "\n"


def _cleaned(value: Any) -> Any:
    """The JSON without what is not known everywhere.

    Links and annotations lose their placement, which would hide them behind a button.
    """
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        cleaned = {
            key: _cleaned(item)
            for key, item in value.items()
            if (key, item) != ("placement", "inControlsMenu")
        }
        for name in NOT_EVERYWHERE.get(str(value.get("type")), ()):
            cleaned.get("options", {}).pop(name, None)
        return cleaned
    return value
