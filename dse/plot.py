"""Pareto pictures for papers and pages: the same study gives the same bytes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from dse.figure import Picture, Scale, envelope, picture
from dse.study import Study
from toolchain import files

_GREY, _FRONT, _KNEE = "#c4c8ce", "#1f4e9c", "#c8321e"
#: Kinds of pictures, and what a file of each says of itself: nothing that differs from run to run.
KINDS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
#: Characters of a line of the note below a picture.
_NOTE_WIDTH = 140
#: Of several families each has a color and a marker of its own, on the front and, lighter, behind it.
_FAMILIES = (("#1f4e9c", "o"), ("#d1720f", "s"), ("#2b8a57", "^"), ("#7b3fa0", "D"))
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
    """The picture as the bytes of a file of one of the :data:`KINDS`. Raises ``ParamError`` for an empty front."""
    if not len(study.front):
        raise ParamError(f"Study must have a feasible point to be drawn, and {study.folder} has none")
    shown = picture(study)
    return rendered(lambda figure: _fill(figure, shown), kind)


def rendered(fill: Callable[[Any], None], kind: str) -> bytes:
    """The picture that ``fill`` draws into an empty figure, as the bytes of a file of one of the :data:`KINDS`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 5.8), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=KINDS[kind])
    return buffer.getvalue()


def family_styles(shown: Picture) -> dict[str, tuple[str, str]]:
    """Color and marker of every family of a picture."""
    return {name: _FAMILIES[place % len(_FAMILIES)] for place, name in enumerate(shown.families)}


def _fill(figure: Any, shown: Picture) -> None:
    axes = figure.subplots()
    axes.set_title(shown.title, loc="left", fontweight="bold")
    beyond = 0
    if len(shown.scales) == 1:
        _one_objective(axes, shown)
    else:
        beyond = _scatter(figure, axes, shown)
    note = shown.note
    if beyond:
        note += f"\nbeyond the axes: {beyond:,} of the {len(shown.dominated):,} dominated designs shown"
    note = "\n".join(part for line in note.splitlines() for part in textwrap.wrap(line, _NOTE_WIDTH))
    figure.supxlabel(note, fontsize=8, color="#555b66", x=0.01, ha="left")


def _one_objective(axes: Any, shown: Picture) -> None:
    for family, (color, _) in family_styles(shown).items():
        front, behind = shown.of_family(family)
        values = np.sort(np.concatenate([shown.front[front, 0], shown.dominated[behind, 0]]))
        several = len(shown.families) > 1
        style = {"color": color, "label": family} if several else {"color": _GREY}
        axes.plot(values, np.arange(1, len(values) + 1), drawstyle="steps-post", **style)
    axes.axvline(shown.front[0, 0], color=_KNEE)
    axes.set_xlabel(shown.scales[0].label)
    axes.set_ylabel("designs at or below, of those shown")
    if len(shown.families) > 1:
        axes.legend(loc="best", fontsize=8, framealpha=0.92)


def _scatter(figure: Any, axes: Any, shown: Picture) -> int:
    """Draws the points; returns how many lie beyond the axes."""
    front, scales = shown.front, shown.scales
    _dominated(axes, shown)
    line = envelope(front, scales)
    color = _FRONT if len(shown.families) == 1 else "#555b66"
    axes.plot(line[:, 0], line[:, 1], color=color, linewidth=0.9, alpha=0.6, zorder=2)
    points = _front(axes, shown)
    if len(scales) > 2:
        bar = figure.colorbar(points, ax=axes, label=scales[2].label, pad=0.01)
        _plain_ticks(bar.ax.yaxis, scales[2])
    if len(scales) > 3:
        axes.plot([], [], " ", label=f"size: {scales[3].label}")
    beyond = _set_axes(axes, shown)
    if shown.knee is not None:
        x, y = shown.front[shown.knee, :2]
        axes.scatter([x], [y], s=210, marker="*", color=_KNEE, edgecolors="white", zorder=5, label="knee")
    _legend(axes, shown)
    if shown.knee is not None:
        _name_knee(figure, axes, shown)
    return beyond


def _legend(axes: Any, shown: Picture) -> None:
    """The legend; families keep their color where points take theirs from the third objective."""
    legend = axes.legend(loc="best", fontsize=8, framealpha=0.92)
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if text.get_text().startswith("Pareto front"):
            family = text.get_text().removeprefix("Pareto front, ")
            edged = len(shown.scales) > 2 and family in shown.families
            handle.set_array(None)
            handle.set_facecolor("white" if edged else family_styles(shown).get(family, (_FRONT, "o"))[0])


def _dominated(axes: Any, shown: Picture) -> None:
    dots = {"s": 5, "linewidths": 0, "rasterized": True, "zorder": 1}
    if len(shown.families) == 1:
        axes.scatter(shown.dominated[:, 0], shown.dominated[:, 1], color=_GREY, label="dominated", **dots)
        return
    for family, (color, marker) in family_styles(shown).items():
        points = shown.dominated[shown.of_family(family)[1]]
        label = f"dominated, {family}"
        axes.scatter(points[:, 0], points[:, 1], color=color, alpha=0.22, marker=marker, label=label, **dots)


def _front(axes: Any, shown: Picture) -> Any:
    """The front, a family at a time; the third objective is the color, the fourth the size."""
    front, scales = shown.front, shown.scales
    sizes: Any = np.full(len(front), 26.0)
    if len(scales) > 3:
        sizes = 14 + 90 * on_unit(front[:, 3], scales[3])
    points = None
    for family, (color, marker) in family_styles(shown).items():
        mine = shown.of_family(family)[0]
        several = len(shown.families) > 1
        style: dict[str, Any] = {"color": color, "edgecolors": "white", "linewidths": 0.4}
        if len(scales) > 2:
            edge = {"edgecolors": color, "linewidths": 1.1} if several else {}
            norm = _norm(front[:, 2], scales[2])
            style = {**style, "c": front[mine, 2], "cmap": "viridis", "norm": norm, **edge}
            del style["color"]
        label = f"Pareto front, {family}" if several else "Pareto front"
        points = axes.scatter(
            front[mine, 0],
            front[mine, 1],
            s=sizes[mine],
            marker=marker,
            label=label,
            zorder=3,
            **style,
        )
    return points


def _set_axes(axes: Any, shown: Picture) -> int:
    """Sets scales and limits; returns how many dominated points lie beyond them."""
    inside = np.ones(len(shown.dominated), dtype=bool)
    for column, axis, name in ((0, axes.xaxis, "x"), (1, axes.yaxis, "y")):
        scale, values = shown.scales[column], shown.dominated[:, column]
        low, high = _limits(shown.front[:, column], values, scale)
        axes.set(**{f"{name}scale": "log" if scale.logarithmic else "linear", f"{name}label": scale.label})
        axes.set(**{f"{name}lim": (low, high)})
        _plain_ticks(axis, scale)
        inside &= (values >= low) & (values <= high)
    return int((~inside).sum())


def _plain_ticks(axis: Any, scale: Scale) -> None:
    """Numbers as people write them, at 1, 2 and 5 of each decade where the axis is logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale.logarithmic:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


#: Distances from the knee, in points, at which its box may stand.
_DISTANCES = (14, 30, 60, 100, 150, 210)


def _name_knee(figure: Any, axes: Any, shown: Picture) -> None:
    """Name the knee in a box where no point of the front is, and as few others as possible."""
    from matplotlib.text import Text

    box = axes.annotate(
        "\n".join(shown.knee_text),
        shown.front[shown.knee, :2],
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=8,
        color="#7a1d11",
        zorder=6,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": _KNEE, "linewidth": 0.6},
        arrowprops={"arrowstyle": "-", "color": _KNEE, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 6},
    )
    box.set_in_layout(False)
    figure.draw_without_rendering()  # so that everything else has its place
    renderer = figure.canvas.get_renderer()
    front, behind = (axes.transData.transform(points[:, :2]) for points in (shown.front, shown.dominated))
    legend = axes.get_legend().get_window_extent(renderer)

    def covered(place: tuple[int, int, str, str]) -> tuple[int, bool, bool, int]:
        _stand(box, place)
        box.update_positions(renderer)
        area = Text.get_window_extent(box, renderer).padded(14)  # without the line to the knee
        beyond = not all(axes.bbox.contains(*corner) for corner in area.corners())
        return _inside(front, area), beyond, area.overlaps(legend), _inside(behind, area)

    _stand(box, min(_places(shown), key=covered))


def _places(shown: Picture) -> list[tuple[int, int, str, str]]:
    """Offsets of the knee's box with its alignment, those to prefer first: near, and where better designs would be."""
    left = shown.scales[0].direction == "min"
    up = shown.scales[1].direction == "max"
    sides = [(left, up), (not left, up), (left, not up), (not left, not up)]
    return [
        (-across if to_left else across, above if to_top else -above, *_aligned(to_left, to_top))
        for distance in _DISTANCES
        for to_left, to_top in sides
        for across, above in ((distance, distance), (distance, 0), (0, distance))
    ]


def _aligned(to_left: bool, to_top: bool) -> tuple[str, str]:
    return "right" if to_left else "left", "bottom" if to_top else "top"


def _stand(box: Any, place: tuple[int, int, str, str]) -> None:
    across, up, side, height = place
    box.xyann = (across, up)
    box.set(ha=side, va=height)


def _inside(points: Any, area: Any) -> int:
    """Points of the screen that lie in an area of it."""
    across = (points[:, 0] >= area.x0) & (points[:, 0] <= area.x1)
    return int((across & (points[:, 1] >= area.y0) & (points[:, 1] <= area.y1)).sum())


def on_unit(values: Any, scale: Scale) -> Any:
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
