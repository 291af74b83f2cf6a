"""A system as a block diagram: SVG text, drawn from the description."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from blueprint.numbers import ceil_div
from blueprint.systems import address_map
from blueprint.systems.description import System
from blueprint.workloads.tasks import WORKS

#: Width and height of a box, distance between boxes, margin, and distance of lines of text, in pixels.
BOX, TALL, GAP, MARGIN, LINE = 210, 92, 44, 20, 16
#: The buffer in front of the units that run a work.
_BUFFER = {"product": "weights", "prefill": "weights", "head": "weights", "attention": "cache"}
_STYLE = (
    "text{font:12px sans-serif;fill:#1b1f24}.n{font-weight:bold}.u{fill:#dbe9ff}.b{fill:#fff1cc}.m{fill:#e3e3e3}"
    ".h{fill:#eadcf5}.e{fill:#f7f8fa}rect{stroke:#57606a}path{stroke:#57606a;fill:none;marker-end:url(#a)}"
)


class Box(NamedTuple):
    """A box: its style, corner, size, and lines of text, the first of which is its name."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]

    @property
    def middle(self) -> float:
        """The middle from left to right."""
        return self.x + self.width / 2


def svg(system: System) -> str:
    """The block diagram: external memory, ports, buffers, units with their work, and the host."""
    boxes, arrows = _layout(system)
    width = max(box.x + box.width for box in boxes.values()) + MARGIN
    height = max(box.y + box.height for box in boxes.values()) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">',
        f"<title>{escape(system.name)}</title><style>{_STYLE}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#57606a;marker-end:none"/></marker></defs>',
        *(part for box in boxes.values() for part in _drawn(box)),
        *(_arrow(boxes[one], boxes[other]) for one, other in arrows),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _layout(system: System) -> tuple[dict[str, Box], list[tuple[str, str]]]:
    """Boxes by name, and which feeds which."""
    columns = [*system.units, *(["host"] if system.host else [])]
    wide = max(len(columns), 3) * (BOX + GAP) - GAP
    rows = [MARGIN + index * (TALL + GAP) for index in range(4)]
    boxes = {"memory": Box("m", MARGIN, rows[0], wide, TALL, _memory(system))}
    boxes["sequencer"] = Box("e", MARGIN, rows[1], wide, TALL / 2, ("sequencer and DMA", _ports(system)))
    arrows = [("memory", "sequencer")]
    for index, name in enumerate(("weights", "cache", "activations")):
        size = getattr(system.buffers, name)
        texts = (f"{name} buffer", f"{size / 1024:,.4g} KiB")
        boxes[f"{name} buffer"] = Box("b", _x(index), rows[2] - TALL / 2, BOX, TALL / 2, texts)
        arrows.append(("sequencer", f"{name} buffer"))
    for index, name in enumerate(columns):
        boxes[name] = Box(
            "h" if name == "host" else "u", _x(index), rows[3] - TALL / 2, BOX, TALL, _place(system, name)
        )
        feeds = {_BUFFER[work] for work in WORKS if work in _BUFFER and system.places[work] == name}
        arrows += [(f"{feed} buffer", name) for feed in sorted(feeds | {"activations"})]
    return boxes, arrows


def _x(index: int) -> float:
    return MARGIN + index * (BOX + GAP)


def _memory(system: System) -> tuple[str, ...]:
    memory, found = system.memory, address_map.regions(system, system.largest)
    first = (
        f"{memory.size_mib:,} MiB, {memory.bandwidth_gb_s:g} GB/s, {memory.energy_pj_per_bit:g} pJ per bit"
    )
    texts = [f"{region.name} {region.size / 2**20:,.3g}" for region in found]
    half = ceil_div(len(texts), 2)
    return ("external memory", first, "MiB: " + " · ".join(texts[:half]), " · ".join(texts[half:]))


def _ports(system: System) -> str:
    memory = system.memory
    return f"{memory.ports} AXI4 port(s) of {memory.width} bits, bursts of {memory.burst}"


def _place(system: System, name: str) -> tuple[str, ...]:
    works = [work for work in WORKS if system.places[work] == name]
    if name not in system.units:
        return (name, ", ".join(works), "at a stated rate")
    spec = system.units[name].spec
    return (name, spec.family, ", ".join(works), f"{spec.peak_macs:,} MAC/cycle")


def _drawn(box: Box) -> Iterator[str]:
    size = f'width="{box.width:g}" height="{box.height:g}" rx="4"'
    yield f'<rect class="{box.kind}" x="{box.x:g}" y="{box.y:g}" {size}/>'
    for index, line in enumerate(box.lines):
        y = box.y + box.height / 2 + (index - len(box.lines) / 2 + 0.75) * LINE
        style = ' class="n"' if index == 0 else ""
        yield f'<text{style} x="{box.middle:g}" y="{y:g}" text-anchor="middle">{escape(line)}</text>'


def _arrow(one: Box, other: Box) -> str:
    """An arrow down: straight where one box stands above the other."""
    x, top, bottom = (
        min(max(one.middle, other.x + 12), other.x + other.width - 12),
        one.y + one.height,
        other.y,
    )
    if one.x <= other.middle <= one.x + one.width:
        return f'<path d="M{other.middle:g} {top:g}V{bottom:g}"/>'
    half = (top + bottom) / 2
    return f'<path d="M{one.middle:g} {top:g}V{half:g}H{x:g}V{bottom:g}"/>'
