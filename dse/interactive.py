"""The Pareto picture as one page to move about in: every point shows all its parameters and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from dse.figure import Picture, envelope, picture
from dse.study import Study
from toolchain import files


def write(study: Study, path: str | Path | None = None) -> Path:
    """Write a self-contained HTML page, ``pareto.html`` of the study by default. Raises ``ParamError`` if empty."""
    path = Path(path) if path is not None else study.folder / "pareto.html"
    return files.write(path, html(study))


def html(study: Study, *, full: bool = True) -> str:
    """The page, or (``full=False``) a piece of one to put into another that has plotly."""
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
    figure.add_scattergl(
        x=shown.dominated[:, 0],
        y=shown.dominated[:, second],
        mode="markers",
        name="dominated",
        marker={"color": "#c4c8ce", "size": 4},
        **_hover(shown.dominated_rows, shown),
    )
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
    figure.add_scatter(
        x=shown.front[:, 0],
        y=shown.front[:, second],
        mode="markers",
        name="Pareto front",
        marker=_marker(shown),
        **_hover(shown.rows, shown),
    )
    if shown.knee is not None:
        figure.add_scatter(
            x=[shown.front[shown.knee, 0]],
            y=[shown.front[shown.knee, second]],
            mode="markers",
            name=f"knee {shown.rows[shown.knee]['id']}",
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


def _marker(shown: Picture) -> dict[str, Any]:
    from dse.plot import _unit

    marker: dict[str, Any] = {"size": 9, "color": "#1f4e9c", "line": {"color": "white", "width": 0.5}}
    if len(shown.scales) > 2:
        title = {"text": shown.scales[2].label, "side": "right"}
        marker.update(color=shown.front[:, 2], colorscale="Viridis", colorbar={"title": title})
    if len(shown.scales) > 3:
        marker.update(size=6 + 14 * _unit(shown.front[:, 3], shown.scales[3]))
    return marker


def _hover(rows: list[dict[str, Any]], shown: Picture) -> dict[str, Any]:
    """All parameters and numbers of points; the parameters that differ between points stand first."""
    names = [name for name in shown.rows[0] if name not in ("feasible", "reason")]
    names.sort(key=lambda name: (name not in ("id", "family"), name not in shown.varied))
    lines = [f"{name} = %{{customdata[{place}]}}" for place, name in enumerate(names)]
    data = [[_short(row[name]) for name in names] for row in rows]
    return {"customdata": data, "hovertemplate": "<br>".join(lines) + "<extra></extra>"}


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else value
