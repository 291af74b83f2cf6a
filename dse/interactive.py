"""Interactive Pareto plot as an HTML page; every point shows its parameters and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from costmodel.model import quantity
from costmodel.model.metrics import METRICS
from dse.figure import Picture, envelope, picture
from dse.study import Study
from toolchain import files


def write(study: Study, path: str | Path | None = None) -> Path:
    """Write a self-contained HTML page, ``pareto.html`` of the study by default. Raises ``ParamError`` if empty."""
    path = Path(path) if path is not None else study.folder / "pareto.html"
    return files.write(path, html(study))


def html(study: Study, *, full: bool = True) -> str:
    """The page, or (``full=False``) a piece of one to put into another that has plotly.

    Raises ``ParamError`` for an empty front.
    """
    if not len(study.front):
        raise ParamError(f"Study must have a feasible point to be drawn, and {study.folder} has none")
    page: str = _figure(picture(study)).to_html(
        full_html=full,
        include_plotlyjs=True,
        div_id="pareto",
        config={"displaylogo": False, "responsive": True},
    )
    return page


def _figure(shown: Picture) -> Any:
    from plotly import graph_objects

    scales = shown.scales
    second = 1 if len(scales) > 1 else 0
    figure = graph_objects.Figure()
    for family in shown.families:
        _add_family(figure, shown, family, second)
    if len(scales) > 1:
        line = envelope(shown.front, scales)
        figure.add_scatter(
            x=line[:, 0],
            y=line[:, 1],
            mode="lines",
            line={"color": "#1f4e9c", "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    if shown.knee is not None:
        figure.add_scatter(
            x=[shown.front[shown.knee, 0]],
            y=[shown.front[shown.knee, second]],
            mode="markers",
            name=f"knee {', '.join(shown.knee_text[: 1 + (len(shown.families) > 1)])}",
            marker={"symbol": "star", "size": 18, "color": "#c8321e", "line": {"color": "white", "width": 1}},
            **_hover([shown.rows[shown.knee]], shown),
        )
    note = shown.note.replace("\n", "<br>")
    figure.update_layout(
        template="plotly_white",
        title={"text": f"<b>{shown.title}</b><br><span style='font-size:12px;color:#555b66'>{note}</span>"},
        margin={"t": 110},
        height=680,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        hoverlabel={"align": "left", "font": {"family": "monospace", "size": 11}},
    )
    figure.update_xaxes(title=scales[0].label, type="log" if scales[0].logarithmic else "linear")
    figure.update_yaxes(title=scales[second].label, type="log" if scales[second].logarithmic else "linear")
    return figure


def _add_family(figure: Any, shown: Picture, family: str, second: int) -> None:
    """The points of one family: behind the front, then on it."""
    front, behind = shown.of_family(family)
    color, symbol = _style(shown, family)
    several = len(shown.families) > 1
    figure.add_scattergl(
        x=shown.dominated[behind, 0],
        y=shown.dominated[behind, second],
        mode="markers",
        name=f"dominated, {family}" if several else "dominated",
        marker={"color": color, "opacity": 0.25, "size": 4, "symbol": symbol}
        if several
        else {"color": "#c4c8ce", "size": 4},
        **_hover([row for row, mine in zip(shown.dominated_rows, behind, strict=True) if mine], shown),
    )
    figure.add_scatter(
        x=shown.front[front, 0],
        y=shown.front[front, second],
        mode="markers",
        name=f"Pareto front, {family}" if several else "Pareto front",
        marker=_marker(shown, family, front),
        **_hover([row for row, mine in zip(shown.rows, front, strict=True) if mine], shown),
    )


def _style(shown: Picture, family: str) -> tuple[str, str]:
    from dse.plot import family_styles

    color, marker = family_styles(shown)[family]
    return color, {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond"}[marker]


def _marker(shown: Picture, family: str, mine: Any) -> dict[str, Any]:
    from dse.plot import on_unit

    color, symbol = _style(shown, family)
    marker: dict[str, Any] = {"size": 9, "color": color, "symbol": symbol}
    edged = len(shown.scales) > 2 and len(shown.families) > 1
    marker["line"] = {"color": color, "width": 1.2} if edged else {"color": "white", "width": 0.5}
    if len(shown.scales) > 2:
        title = {"text": shown.scales[2].label, "side": "right"}
        values = shown.front[:, 2]
        marker.update(color=values[mine], colorscale="Viridis", cmin=values.min(), cmax=values.max())
        marker["colorbar"] = {"title": title}
    if len(shown.scales) > 3:
        marker.update(size=6 + 14 * on_unit(shown.front[:, 3], shown.scales[3])[mine])
    return marker


def _hover(rows: list[dict[str, Any]], shown: Picture) -> dict[str, Any]:
    """All parameters and numbers of points; the parameters that differ between points stand first."""
    names = [name for name in shown.rows[0] if name not in ("feasible", "reason")]
    names.sort(key=lambda name: (name not in ("id", "family"), name not in shown.varied))
    lines = [f"{quantity.label(name)} = %{{customdata[{place}]}}" for place, name in enumerate(names)]
    data = [[quantity.metric_text(name, row[name]) if name in METRICS else quantity.number(row[name])
             for name in names] for row in rows]  # fmt: skip
    return {"customdata": data, "hovertemplate": "<br>".join(lines) + "<extra></extra>"}
