"""Pareto pictures for papers and pages: the same study gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from dse.figure import Picture, Scale, envelope, picture
from dse.study import Study
from toolchain import files

_GREY, _FRONT, _KNEE = "#c4c8ce", "#1f4e9c", "#c8321e"
_STYLE = {
    "svg.hashsalt": "ternforge",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8ec",
    "axes.axisbelow": True,
}


def draw(study: Study, folder: str | Path | None = None) -> list[Path]:
    """Write ``pareto.png`` and ``pareto.svg`` into a folder, the study's own by default.

    First objective across, second up, third as color, fourth as size. Raises ``ParamError`` for an empty front.
    """
    folder = Path(folder) if folder is not None else study.folder
    return [files.write(folder / f"pareto.{kind}", render(study, kind)) for kind in ("png", "svg")]


def render(study: Study, kind: str) -> bytes:
    """The picture as the bytes of a PNG or SVG file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not len(study.front):
        raise ParamError(f"Study must have a feasible point to be drawn, and {study.folder} has none")
    shown = picture(study)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 5.8), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        _fill(figure, shown)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def _fill(figure: Any, shown: Picture) -> None:
    axes = figure.subplots()
    axes.set_title(shown.title, loc="left", fontweight="bold")
    if len(shown.scales) == 1:
        _one_objective(axes, shown)
    else:
        _scatter(figure, axes, shown)
    figure.supxlabel(shown.note, fontsize=8, color="#555b66", x=0.01, ha="left")


def _one_objective(axes: Any, shown: Picture) -> None:
    values = np.sort(np.concatenate([shown.front[:, 0], shown.dominated[:, 0]]))
    axes.plot(values, np.arange(1, len(values) + 1), color=_GREY, drawstyle="steps-post")
    axes.axvline(shown.front[0, 0], color=_KNEE)
    axes.set_xlabel(shown.scales[0].label)
    axes.set_ylabel("designs at or below, of those shown")


def _scatter(figure: Any, axes: Any, shown: Picture) -> None:
    front, behind, scales = shown.front, shown.dominated, shown.scales
    dots = {"s": 5, "linewidths": 0, "rasterized": True}
    axes.scatter(behind[:, 0], behind[:, 1], color=_GREY, label="dominated", zorder=1, **dots)
    line = envelope(front, scales)
    axes.plot(line[:, 0], line[:, 1], color=_FRONT, linewidth=0.9, alpha=0.6, zorder=2)
    sizes: Any = 26.0 if len(scales) < 4 else 14 + 90 * _unit(front[:, 3], scales[3])
    if len(scales) > 2:
        norm = _norm(front[:, 2], scales[2])
        style = {"c": front[:, 2], "cmap": "viridis", "norm": norm}
    else:
        style = {"color": _FRONT}
    points = axes.scatter(
        front[:, 0],
        front[:, 1],
        s=sizes,
        edgecolors="white",
        linewidths=0.4,
        label="Pareto front",
        zorder=3,
        **style,
    )
    if len(scales) > 2:
        bar = figure.colorbar(points, ax=axes, label=scales[2].label, pad=0.01)
        _plain_ticks(bar.ax.yaxis, scales[2])
    if len(scales) > 3:
        axes.plot([], [], " ", label=f"size: {scales[3].label}")
    _mark_knee(axes, shown)
    for scale, setter, limits, column in (
        (scales[0], axes.set_xscale, axes.set_xlim, 0),
        (scales[1], axes.set_yscale, axes.set_ylim, 1),
    ):
        setter("log" if scale.logarithmic else "linear")
        limits(*_limits(front[:, column], behind[:, column], scale))
    _plain_ticks(axes.xaxis, scales[0])
    _plain_ticks(axes.yaxis, scales[1])
    axes.set_xlabel(scales[0].label)
    axes.set_ylabel(scales[1].label)
    legend = axes.legend(loc="best", fontsize=8, framealpha=0.92)
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if text.get_text() == "Pareto front":
            handle.set_array(None)
            handle.set_facecolor(_FRONT)


def _plain_ticks(axis: Any, scale: Scale) -> None:
    """Numbers as people write them, at 1, 2 and 5 of each decade where the axis is logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale.logarithmic:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _mark_knee(axes: Any, shown: Picture) -> None:
    if shown.knee is None:
        return
    x, y = shown.front[shown.knee, :2]
    row = shown.rows[shown.knee]
    axes.scatter([x], [y], s=210, marker="*", color=_KNEE, edgecolors="white", zorder=5, label="knee")
    facts = [f"{name} {row[name]}" for name in shown.varied if type(row[name]) is int][:4]
    text = f"{row['id']}\n{', '.join(facts)}" if facts else row["id"]
    right = shown.scales[0].direction == "max"
    axes.annotate(
        text,
        (x, y),
        xytext=(-14 if right else 14, -30),
        textcoords="offset points",
        ha="right" if right else "left",
        fontsize=8,
        color="#7a1d11",
        zorder=6,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": _KNEE, "linewidth": 0.6},
    )


def _unit(values: Any, scale: Scale) -> Any:
    """Values from 0 to 1, along the logarithm where the scale is one."""
    values = np.log(values) if scale.logarithmic else values
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 0 else np.full(len(values), 0.5)


def _norm(values: Any, scale: Scale) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    kind = LogNorm if scale.logarithmic else Normalize
    return kind(values.min(), values.max())


def _limits(front: Any, behind: Any, scale: Scale) -> tuple[float, float]:
    """All of the front with room around it; dominated points may lie outside on the bad side."""
    worst = np.quantile(behind, 0.97 if scale.direction == "min" else 0.03) if len(behind) else front[0]
    low, high = min(front.min(), worst), max(front.max(), worst)
    if scale.logarithmic and low > 0:
        room = (high / low) ** 0.05
        return float(low / room), float(high * room)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)
