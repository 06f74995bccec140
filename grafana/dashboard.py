"""A page under construction: it places and numbers panels, and carries what every page has."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from grafana.links import PAGES, to_other_pages
from grafana.sdk import SOURCE, Panel
from prometheus.health import CHOSEN

COLUMNS = 24  # Grafana's grid
Cell = Panel | Sequence[tuple[int, Panel]]  # a panel, or several below each other with their heights


class Page:
    """A dashboard. Panels go in from top to bottom, a band of equal height after the other."""

    def __init__(self, uid: str, description: str, *, since: str, refresh: str) -> None:
        self._panels: list[Panel | model.RowPanel] = []
        self._y = 0
        self._dashboard = (
            build.Dashboard(f"Grid / {PAGES[uid]}")
            .uid(uid)
            .description(description)
            .tags(["grid"])
            .time(f"now-{since}", "now")
            .refresh(refresh)
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )
        for variable in _variables():
            self._dashboard.with_variable(variable)
        for link in to_other_pages(uid):
            self._dashboard.link(link)

    def dashboard(self) -> model.Dashboard:
        """The SDK's dashboard."""
        dashboard = self._dashboard.build()
        dashboard.panels = self._panels
        for variable in dashboard.templating.list_val or []:
            variable.skip_url_sync = variable.name == "who"
        return dashboard

    def heading(self, title: str) -> None:
        """A heading, under which panels can be folded away."""
        row = build.Row(title).id(len(self._panels) + 1)
        self._panels.append(row.grid_pos(model.GridPos(h=1, w=COLUMNS, x=0, y=self._y)).build())
        self._y += 1

    def band(self, height: int, *cells: Cell, widths: Sequence[int] = ()) -> None:
        """Panels side by side; without ``widths`` all as wide as each other."""
        x = 0
        for cell, width in zip(cells, widths or [COLUMNS // len(cells)] * len(cells), strict=True):
            y = self._y
            for own_height, panel in [(height, cell)] if isinstance(cell, Panel) else cell:
                panel.id_val = len(self._panels) + 1
                panel.grid_pos = model.GridPos(h=own_height, w=width, x=x, y=y)
                self._panels.append(panel)
                y += own_height
            x += width
        self._y += height

    def filter_by_category(self) -> None:
        """Adds the choice of categories of services."""
        found = f"label_values(grid_service_state{{{CHOSEN}}}, category)"
        self._dashboard.with_variable(_choice("category", "Category", found).all_value(".*"))

    def annotate(self, *annotations: build.AnnotationQuery) -> None:
        """Adds annotations to the charts."""
        for annotation in annotations:
            self._dashboard.annotation(annotation)


def _variables() -> list[build.DatasourceVariable | build.QueryVariable]:
    """What is chosen at the top of every page, and what follows from it."""
    # Without an allValue, "All" are the jobs of exporters; .+ would make up{} count every other target.
    job = _choice("job", "Job", "label_values(grid_exporter_build_info, job)")
    instance = _choice("instance", "Instance", 'label_values(up{job=~"$job"}, instance)').all_value(".+")
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [source, job, instance, _who()]


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    """A choice of several of a label's values, all at first."""
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    chosen = _query_variable(name, query, 1).label(label).multi(multi=True).include_all(include_all=True)
    return chosen.current(everything)


def _who() -> build.QueryVariable:
    """What legends begin with: the box's name where several are chosen, nothing where one is."""
    several = f"count(count by (instance) (up{{{CHOSEN}}})) > 1"
    named = f'query_result(label_replace({several}, "who", "{{{{instance}}}} ", "", ""))'
    hidden = _query_variable("who", named, 3).label("who").hide(model.VariableHide.HIDE_VARIABLE)
    return hidden.regex('/who="([^"]*)"/').include_all(include_all=False).multi(multi=False)


def _query_variable(name: str, query: str, kind: int) -> build.QueryVariable:
    """A variable that asks Prometheus. ``kind`` is its editor's: 1 for a label's values, 3 for a result."""
    return (
        build.QueryVariable(name)
        .datasource(SOURCE)
        .query({"qryType": kind, "query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
