"""A page: it places and numbers panels, and has the variables, links and annotations of every page."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from grafana.links import FLEET, PAGES, TAG, top_links
from grafana.sdk import SEVERAL, SOURCE, Panel
from prometheus.health import CHOSEN, DOMAINS
from prometheus.recording import HEALTH

COLUMNS = 24  # Grafana's grid
Cell = Panel | Sequence[tuple[int, Panel]]  # a panel, or several below each other with their heights
HIDDEN = ("who", "many", "shown")  # variables that follow from the choice of boxes

MOST_DRAWN = 5  # boxes; more lines are not readable


class Page:
    """A dashboard. Panels are added from top to bottom, in bands of equal height."""

    def __init__(self, uid: str, description: str, *, since: str, refresh: str) -> None:
        self._panels: list[Panel | model.RowPanel] = []
        self._folded: model.RowPanel | None = None
        self._ids = 0
        self._y = 0
        self._dashboard = (
            build.Dashboard(f"Grid / {PAGES[uid]}")
            .uid(uid)
            .description(description)
            .tags([TAG])
            .time(f"now-{since}", "now")
            .refresh(refresh)
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )
        for variable in _variables(uid):
            self._dashboard.with_variable(variable)
        for link in top_links(uid):
            self._dashboard.link(link)

    def dashboard(self) -> model.Dashboard:
        """The SDK's dashboard."""
        dashboard = self._dashboard.build()
        dashboard.panels = self._panels
        for variable in dashboard.templating.list_val or []:
            variable.skip_url_sync = variable.name in HIDDEN
        return dashboard

    def heading(self, title: str, *, folded: bool = False) -> None:
        """A heading of the panels that follow; ``folded``: they are hidden until somebody opens it."""
        row = build.Row(title).id(self._next_id()).collapsed(collapsed=folded)
        placed = row.grid_pos(model.GridPos(h=1, w=COLUMNS, x=0, y=self._y)).build()
        self._panels.append(placed)
        self._folded = placed if folded else None
        self._y += 1

    def band(self, height: int, *cells: Cell, widths: Sequence[int] = ()) -> None:
        """Panels side by side; without ``widths`` all as wide as each other."""
        x = 0
        for cell, width in zip(cells, widths or [COLUMNS // len(cells)] * len(cells), strict=True):
            y = self._y
            for own_height, panel in [(height, cell)] if isinstance(cell, Panel) else cell:
                self._place(panel, model.GridPos(h=own_height, w=width, x=x, y=y))
                y += own_height
            x += width
        self._y += height

    def filter_by_category(self) -> None:
        """Adds the choice of categories of services."""
        values = f"label_values(grid_service_state{{{CHOSEN}}}, category)"
        category = _choice("category", "Category", values).all_value(".*").current(_everything())
        self._dashboard.with_variable(category)

    def choose_gpus(self) -> None:
        """Adds the choice of GPUs, for panels that are repeated for each."""
        values = f"label_values(grid_gpu_info{{{CHOSEN}}}, gpu)"
        self._dashboard.with_variable(_choice("gpu", "GPU", values).current(_everything()))

    def ask_price(self) -> None:
        """Adds a box for the price of electricity."""
        price = build.TextBoxVariable("price").label("Price of a kWh").default_value("0.30")
        self._dashboard.with_variable(price)

    def annotate(self, *annotations: build.AnnotationQuery) -> None:
        """Adds annotations to the charts."""
        for annotation in annotations:
            self._dashboard.annotation(annotation)

    def _place(self, panel: Panel, cell: model.GridPos) -> None:
        panel.id_val = self._next_id()
        panel.grid_pos = cell
        if self._folded is None:
            self._panels.append(panel)
        else:
            self._folded.panels.append(panel)

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids


def _variables(uid: str) -> list[build.DatasourceVariable | build.QueryVariable]:
    """The variables of every page. All begin with one box, but for the page of many."""
    # Without an allValue, "All" are the jobs of exporters; .+ would make up{} count every other target.
    job = _choice("job", "Job", "label_values(grid_exporter_build_info, job)").current(_everything())
    instance = _choice("instance", "Instance", 'label_values(up{job=~"$job"}, instance)')
    if uid == FLEET:
        instance.all_value(".+").current(_everything())
    else:
        # Where there is All, Grafana begins with it, also without a current value.
        instance.include_all(include_all=False)
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [source, job, instance, _who(), _many(), _shown(uid)]


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    """A choice of several of a label's values."""
    return _query_variable(name, query, 1).label(label).multi(multi=True).include_all(include_all=True)


def _everything() -> model.VariableOption:
    return model.VariableOption(selected=True, text=["All"], value=["$__all"])


def _who() -> build.QueryVariable:
    """The prefix of legends: the box's name where several are chosen, empty where one is."""
    return _derived("who", f'label_replace({SEVERAL}, "who", "{{{{instance}}}} ", "", "")')


def _many() -> build.QueryVariable:
    """The label that tables take their column Box from: none, and so no column, where one box is chosen."""
    return _derived("many", f'label_replace({SEVERAL}, "many", "instance", "", "")')


def _shown(uid: str) -> build.QueryVariable:
    """The boxes that charts draw: of many a few, the worst of the page's domain first."""
    domain = uid.removeprefix("grid-")
    of_domain = f'domain="{domain}", ' if domain in {each.name for each in DOMAINS} else ""
    codes = f"max_over_time({HEALTH}{{{of_domain}{CHOSEN}}}[$__range])"
    not_ok = f"topk({MOST_DRAWN}, max by (instance) ({codes}) > 0)"
    chosen = f"group by (instance) (last_over_time(up{{{CHOSEN}}}[$__range]))"
    others = f"{chosen} unless on () ({SEVERAL} and on () count({not_ok}))"
    boxes = f"{not_ok} or topk({MOST_DRAWN}, {others})"
    shown = _derived("shown", boxes, label="instance").multi(multi=True).include_all(include_all=True)
    return shown.current(_everything())


def _derived(name: str, promql: str, label: str = "") -> build.QueryVariable:
    """A hidden variable: the values of a label of a query's result."""
    variable = _query_variable(name, f"query_result({promql})", 3).label(name)
    variable.hide(model.VariableHide.HIDE_VARIABLE).regex(f'/{label or name}="([^"]*)"/')
    return variable.include_all(include_all=False).multi(multi=False)


def _query_variable(name: str, query: str, kind: int) -> build.QueryVariable:
    """A variable that asks Prometheus. ``kind`` is its editor's: 1 for a label's values, 3 for a result."""
    return (
        build.QueryVariable(name)
        .datasource(SOURCE)
        .query({"qryType": kind, "query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
