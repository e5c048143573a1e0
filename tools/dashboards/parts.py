"""What panels have in common: a model's colour, percent, the data source, the links between boards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG = "llm-routing"
SOURCE = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
PERCENT, POINTS = "percentunit", "suffix: points"
WIDE, HALF, THIRD, QUARTER = 24, 12, 8, 6

MODEL = "{{gen_ai_response_model}}"
"""The legend of a series of one served model. Its name decides its colour, so it has the same one on every panel."""


def query(expr: str, legend: str = "", ref: str = "A", *, exemplars: bool = False) -> prometheus.Dataquery:
    """Return a query over the time of the board."""
    made = prometheus.Dataquery().datasource(SOURCE).expr(expr).ref_id(ref).range().legend_format(legend or "__auto")
    return made.exemplar(exemplar=True) if exemplars else made


def now(expr: str, ref: str = "A", *, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query at the end of the board's time, as a table."""
    made = prometheus.Dataquery().datasource(SOURCE).expr(expr).ref_id(ref).instant().legend_format(legend)
    return made.format(PromQueryFormat.TABLE)


def _by_name() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def lines(title: str, description: str, unit: str, width: int = HALF) -> series.Panel:
    """Return a panel of lines whose colours follow their names."""
    return (
        series.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .color_scheme(_by_name())
        .line_width(2)
        .fill_opacity(0)
        .show_points(options.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull"])
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .height(9)
        .span(width)
    )


def stacked(title: str, description: str, width: int = WIDE) -> series.Panel:
    """Return a panel of shares that together are 100 %."""
    return (
        lines(title, description, PERCENT, width)
        .stacking(common.StackingConfig().mode(options.StackingMode.PERCENT).group("A"))
        .fill_opacity(70)
        .line_width(0)
        .min(0)
        .max(1)
        .height(10)
    )


def number(title: str, description: str, unit: str, steps: Sequence[tuple[float | None, str]]) -> stat.Panel:
    """Return one number, coloured by ``steps`` of (from, colour)."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(5)
        .span(QUARTER)
    )


def rows(title: str, description: str, width: int = WIDE) -> table.Panel:
    """Return a table; its queries are joined by their labels."""
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .cell_height(options.TableCellHeight.SM)
        .filterable(filterable=True)
        .height(9)
        .span(width)
    )


def states(title: str, description: str, width: int = WIDE) -> statetimeline.Panel:
    """Return a timeline of shares in five steps."""
    steps = [
        (None, "transparent"),
        (0.005, "#dce9f5"),
        (0.05, "#a9c9e6"),
        (0.25, "#6ba3d0"),
        (0.5, "#3579b1"),
        (0.75, "#124f86"),
    ]
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(PERCENT)
        .decimals(0)
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .show_value(options.VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.SINGLE).sort(options.SortOrder.NONE))
        .height(12)
        .span(width)
    )


def joined(*columns: tuple[str, str], hidden: Sequence[str] = ()) -> list[model.DataTransformerConfig]:
    """Return the transformations that make one table of several queries, whose columns are named (field, title)."""
    drop = dict.fromkeys(("Time", "Value", *hidden), True)
    return [
        model.DataTransformerConfig(id_val="merge", options={}),
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {name: True for name in drop if name not in dict(columns)},
                "indexByName": {name: index for index, (name, _) in enumerate(columns)},
                "renameByName": dict(columns),
            },
        ),
    ]


def properties(**values: Any) -> list[model.DynamicConfigValue]:
    """Return the properties of an override; ``__`` in a name stands for a dot."""
    return [model.DynamicConfigValue(id_val=name.replace("__", "."), value=value) for name, value in values.items()]


def bars(maximum: float) -> list[model.DynamicConfigValue]:
    """Return the properties of a column that is drawn as bars up to ``maximum``."""
    steps = {
        "mode": "absolute",
        "steps": [
            {"color": "green", "value": None},
            {"color": "orange", "value": 0.03 * maximum},
            {"color": "red", "value": 0.1 * maximum},
        ],
    }
    return properties(
        custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        min=0,
        max=maximum,
        thresholds=steps,
        color={"mode": "thresholds"},
    )


def beside(*dash: int, width: int = 2) -> list[model.DynamicConfigValue]:
    """Return the properties of lines that belong to others of the same name: dashed, and not in the legend again."""
    return properties(
        custom__lineStyle={"fill": "dash", "dash": list(dash or (8, 6))},
        custom__lineWidth=width,
        custom__hideFrom={"legend": True, "tooltip": False, "viz": False},
    )


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    made = [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(made)


# A board ----------------------------------------------------------------------------------------------------------


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return an empty board: data source, links to the others that keep variables and time, annotations."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .refresh("5m")
        .time("now-7d", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .description("A Prometheus, Mimir, Thanos or VictoriaMetrics that evaluates the rules of otel-llm-routing.")
            .type("prometheus")
            .regex("")
        )
        .link(
            dashboard.DashboardLink("LLM routing")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=False)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
            .icon("external link")
            .tooltip("The other boards, with the same surface and time")
        )
        .annotation(
            _annotation(
                "Deployments",
                "blue",
                "count by (service_name, service_version) (target_info) "
                "unless count by (service_name, service_version) (target_info offset $__interval)",
                "{{service_name}} {{service_version}} started",
            )
        )
        .annotation(
            _annotation(
                "Reference pinned again",
                "purple",
                "max by (llm_routing_surface, gen_ai_request_model) "
                "(changes(llm_routing:reference:requests[$__interval])) > 0",
                "{{llm_routing_surface}}: the reference of {{gen_ai_request_model}} was pinned again",
            )
        )
        .annotation(
            _annotation(
                "Alerts",
                "red",
                "max by (alertname, llm_routing_surface, gen_ai_request_model) "
                '(ALERTS{alertname=~"LLMRouting.+", alertstate="firing"})',
                "{{llm_routing_surface}}: {{alertname}} {{gen_ai_request_model}}",
            )
        )
    )


def _annotation(name: str, color: str, expr: str, title: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(color)
        .expr(expr)
        .step("5m")
        .title_format(title)
    )


def chosen(name: str, label: str, description: str, values: str, *, several: bool = False) -> dashboard.QueryVariable:
    """Return a variable whose values Prometheus has, ``label_values(…)``."""
    made = (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"query": values, "refId": "values"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        return (
            made.multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
    return made


def surface_variable() -> dashboard.QueryVariable:
    """Return the variable ``surface``."""
    return chosen(
        "surface",
        "Surface",
        "The product surface.",
        "label_values(llm_routing:stream_requests:7d, llm_routing_surface)",
    )


def requested_variable() -> dashboard.QueryVariable:
    """Return the variable ``requested``: a model that the surface asks for."""
    return chosen(
        "requested",
        "Requested model",
        "What the surface asks for.",
        'label_values(llm_routing:stream_requests:7d{llm_routing_surface="$surface"}, gen_ai_request_model)',
    )


def window_variable() -> dashboard.CustomVariable:
    """Return the variable ``window``: over which time a share is taken."""
    return (
        dashboard.CustomVariable("window")
        .label("Window")
        .description("A share is taken over so much time.")
        .values("1h,24h,7d")
        .current(model.VariableOption(selected=True, text="24h", value="24h"))
    )
