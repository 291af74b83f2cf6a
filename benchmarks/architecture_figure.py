"""Write docs/architecture.svg: the rooms and their imports (``python -m benchmarks.architecture_figure``).

Rooms, the packages in them, arrows and the facets of a family are read from the source. Only the place of a box and the
words in it stand here; a room without a place is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from blueprint.family import FACETS

ROOT = Path(__file__).resolve().parent.parent
FIGURE = ROOT / "docs" / "architecture.svg"

#: Width of a column, height of a box, distance between floors, and margin, in pixels.
COLUMN, BOX, FLOOR, MARGIN = 80, 84, 136, 12


class Place(NamedTuple):
    """A room's floor (0 is the top one), its first column and the column behind it, and what it does."""

    floor: int
    left: int
    right: int
    text: str


PLACES = {
    "ternforge": Place(0, 0, 15, "command line and public functions"),
    "dse": Place(1, 4, 8, "spaces, searches, studies, Pareto fronts"),
    "generator": Place(2, 0, 4, "blueprint to Verilog"),
    "costmodel": Place(2, 4, 8, "area, timing, energy; synthesis"),
    "simulator": Place(2, 8, 12, "cycles, values, traces; RTL simulation"),
    "rtl_templates": Place(5, 0, 2, "text templates"),
    "blueprint": Place(5, 2, 9, "one description of an accelerator"),
    "compiler": Place(3, 9, 14, "checkpoints to programs and memory"),
    "checkpoints": Place(4, 11, 15, "trained models, in their files"),
    "toolchain": Place(5, 9, 12, "Yosys, Verilator, g++, cache"),
}


def rooms(root: Path = ROOT) -> list[str]:
    """The rooms: packages at the top of the repository. Raises ``ValueError`` for one without a place."""
    found = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    found = [name for name in found if name not in ("benchmarks", "tests")]
    if missing := sorted(set(found) - set(PLACES)):
        raise ValueError(f"PLACES must name every room, not without {', '.join(missing)}")
    return found


def packages(room: str, root: Path = ROOT) -> list[str]:
    """The packages of a room; of templates, none."""
    return sorted(path.parent.name for path in (root / room).glob("*/__init__.py"))


def used(text: str) -> Iterator[str]:
    """First names of the packages that Python text imports or loads templates from."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "PackageLoader" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """The rooms that each room uses directly."""
    known = rooms(root)
    return {
        room: {
            name for path in (root / room).rglob("*.py") for name in used(path.read_text(encoding="utf-8"))
        }
        & set(known) - {room}
        for room in known
    }


def reduced(arrows: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Arrows without those that follow from others, sorted."""

    def reach(room: str) -> set[str]:
        return arrows[room].union(*(reach(other) for other in arrows[room]))

    return sorted(
        (room, target)
        for room, targets in arrows.items()
        for target in targets
        if not any(target in reach(other) for other in targets - {target})
    )


def _span(room: str) -> tuple[int, int]:
    place = PLACES[room]
    return MARGIN + place.left * COLUMN + 6, MARGIN + place.right * COLUMN - 6


def _top(room: str) -> int:
    return MARGIN + PLACES[room].floor * FLOOR


def _box(room: str, root: Path) -> Iterator[str]:
    left, right = _span(room)
    top, middle = _top(room), (left + right) // 2
    yield f'<rect x="{left}" y="{top}" width="{right - left}" height="{BOX}" rx="8"/>'
    yield f'<text x="{middle}" y="{top + 22}" class="name">{room}</text>'
    yield f'<text x="{middle}" y="{top + 41}">{PLACES[room].text}</text>'
    if inside := " · ".join(packages(room, root)):
        yield f'<text x="{middle}" y="{top + 59}" class="inside">{inside}</text>'
    if room == "blueprint":
        facets = f"a family: parameters + {', '.join(FACETS)}"
        yield f'<text x="{middle}" y="{top + 75}" class="inside">{facets}</text>'


def _arrow(source: str, target: str) -> str:
    """Straight down where the boxes overlap, else by a horizontal line above the target, which arrows share."""
    (left, right), (left_below, right_below) = _span(source), _span(target)
    start = end = (max(left, left_below) + min(right, right_below)) // 2
    if right <= left_below:
        start, end = right - 40, left_below + 40
    elif right_below <= left:
        start, end = left + 40, right_below - 40
    first, bus, last = _top(source) + BOX, _top(target) - 32, _top(target) - 7
    return f'<path class="arrow" d="M{start} {first}V{bus}H{end}V{last}"/>'


def figure(root: Path = ROOT) -> str:
    """The figure as SVG text."""
    width = 2 * MARGIN + COLUMN * max(place.right for place in PLACES.values())
    height = 2 * MARGIN + FLOOR * max(place.floor for place in PLACES.values()) + BOX
    arrows = [_arrow(source, target) for source, target in reduced(imports(root))]
    boxes = [line for room in rooms(root) for line in _box(room, root)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" font-family="sans-serif" font-size="13" text-anchor="middle">',
            "<title>Rooms of ternforge; an arrow is an import, those that follow from others are left out</title>",
            "<style>rect{fill:#f4f7fb;stroke:#3b5b8c}.arrow{fill:none;stroke:#3b5b8c;stroke-width:1.5;marker-end:url(#tip)}"
            "text{fill:#222}.name{font-weight:bold;font-size:15px}.inside{fill:#666;font-size:11px}</style>",
            '<marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#3b5b8c"/></marker>',
            f'<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Write the figure."""
    FIGURE.write_text(figure(), encoding="utf-8")


if __name__ == "__main__":
    main()
