"""The pictures of docs/optimum.md, from the study's document alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.optimum import conclusions

STYLE = {
    "svg.hashsalt": "ternforge",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def draw(study: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures."""
    pictures = {"optimum_mu.svg": _groups, "optimum_gain.svg": _gains, "optimum_size.svg": _sizes}
    tech = study["technologies"]["asap7"]
    with mpl.rc_context(STYLE):
        for name, make in pictures.items():
            make(tech, study["fetches"]).savefig(folder / name, metadata={"Date": None, "Creator": None})
    for name in pictures:  # the writer leaves blanks at the ends of lines
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        (folder / name).write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
    return [folder / name for name in pictures]


def _groups(tech: dict[str, Any], fetches: list[int]) -> Figure:
    """Area against fetches, a line per group size."""
    kinds = conclusions.kinds(tech)
    figure = Figure(figsize=(10, 7), layout="constrained")
    rows = -(-len(kinds) // 4)
    for number, kind in enumerate(kinds):
        axes = figure.add_subplot(rows, 4, number + 1)
        for mu in sorted({row["mu"] for row in conclusions.designs(tech, kind)}):
            areas = [conclusions.area(tech, kind, count, mu) for count in fetches]
            axes.plot(fetches, areas, marker="o", markersize=3, label=f"mu = {mu}")
        lowest = conclusions.area(tech, kind, fetches[-1])
        axes.set(xscale="log", xticks=fetches, ylim=(0, 3.2 * lowest), title=label(kind))
        axes.set_xticks(fetches, [str(count) for count in fetches])
        axes.minorticks_off()
        if number % 4 == 0:
            axes.set_ylabel("um2 per MAC")
        if number + 4 >= len(kinds):
            axes.set_xlabel("fetches F")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def _gains(tech: dict[str, Any], fetches: list[int]) -> Figure:
    """Times smaller than the baselines, per kind."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    kinds = conclusions.kinds(tech)
    for place, (key, title) in enumerate(
        (("multiplier", "multiplier"), ("select_add", "select-add, mu = 1"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        for shift, count in ((-0.2, 32), (0.2, 128)):
            values = [conclusions.gains(tech, name, count)[how][key] for name, how in kinds]
            axes.bar([x + shift for x in range(len(kinds))], values, 0.4, label=f"F = {count}")
        axes.axhline(1 if key == "select_add" else 2.2, color="black", linewidth=0.8, linestyle="--")
        axes.set_xticks(range(len(kinds)), [label(kind) for kind in kinds], rotation=40, ha="right")
        axes.set(title=f"times smaller than {title}")
        axes.legend()
    return figure


def _sizes(tech: dict[str, Any], fetches: list[int]) -> Figure:
    """One large core against many small ones."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for kind in conclusions.kinds(tech):
        values = [100 * (conclusions.split(tech, kind, 128 // count) - 1) for count in fetches]
        axes.plot([128 // count for count in fetches], values, marker="o", markersize=3, label=label(kind))
    axes.set(xscale="log", xlabel="cores at equal throughput", ylabel="more area than one core, %")
    axes.set_xticks([128 // count for count in fetches], [str(128 // count) for count in fetches])
    axes.minorticks_off()
    axes.legend(fontsize=7, ncols=2)
    return figure


def label(kind: tuple[str, str]) -> str:
    """Format and, for floats, how they are added."""
    return kind[0] if kind[1] == "integer" else f"{kind[0]} {kind[1]}"
