"""Bit-weight processing elements and arrays in open technology: the table of docs/bit_weight.md.

    python -m benchmarks.bit_weight [--technology asap7 --technology sky130hd] [--json] [--write docs/bit_weight.md]

Every element is mapped with registers in front of its operands (where rows are registered, behind its shifter instead
of in front of ``b``), INT8 and an accumulator of 32 bits; arrays are small ones of each organization, with all their
operand registers. Area is mapped for least area; the clock is that of the longest path into a register. Area
efficiency is products per second and area at that clock; a serial element takes the mean number of cycles of operands
drawn from a normal distribution, those that walk in step taking the longest. Every distinct module is mapped once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating as formats
from blueprint.arithmetic import processing
from blueprint.arithmetic.processing import Element
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Synthesis, synthesize
from generator.arithmetic.processing import Accumulate, DigitEncode, DigitQueue
from generator.block import Block
from generator.emission import emit

#: Standard deviation of INT8 operands, and how many are drawn.
DEVIATION, DRAWN = 30, 200_000
#: The public RTL of the paper, mapped by the same tools (asap7, um2 and ns): for least area, and balanced.
STATED = {
    "MAC": ((53.3, 1.68), (65.4, 1.08)),
    "OPT1": ((76.5, 0.68), (77.2, 0.62)),
    "OPT3": ((51.9, 0.44), (54.1, 0.36)),
    "OPT4C column of 16": ((618, 1.04), (636, 0.35)),
    "OPT4C column of 32": ((1221, 1.73), (1266, 0.38)),
    "OPT2, 16 x 4": ((4018, 0.83), (4261, 0.57)),
    "systolic 4x4, MAC": ((886, 1.91), (1083, 1.15)),
    "systolic 4x4, OPT1": ((1214, 0.79), (1264, 0.62)),
}
#: Published gains in area efficiency (HPCA 2025, 28 nm).
PUBLISHED = {"systolic": 1.27, "cube": 1.28, "tree": 1.56, "matrix": 1.44}


@dataclass(frozen=True)
class Shape:
    """``rows`` times ``columns`` elements. Operands ``a`` go along rows and ``b`` along columns.

    ``passing`` registers them in every element on the way, else each is registered once and broadcast.
    """

    element: Element
    rows: int = 1
    columns: int = 1
    passing: bool = False
    registered: bool = False
    encoded_inside: bool = False  # an EN-T encoder in every element instead of one per row

    @property
    def cycles(self) -> float:
        """Mean cycles of a step: operands that walk in step take as long as the slowest of them."""
        together = self.rows * self.element.lanes
        drawn = np.random.default_rng(0).normal(0, DEVIATION, (DRAWN // together, together))
        values = np.clip(np.rint(drawn), -128, 127).astype(np.int64)
        return float(processing.cycles_per_operand(self.element, values).max(axis=-1).mean())

    @property
    def products(self) -> float:
        """Products per cycle."""
        return self.rows * self.columns * self.element.lanes / self.cycles


class Array(Block):
    """Elements, their operand registers and encoders, and the registers between them."""

    place = "array"

    def __init__(self, shape: Shape) -> None:
        self.shape, element = shape, shape.element
        self.a_width = element.lanes * (element.a_width if element.pe == "ent" else _a_bits(element))
        self.b_width = element.lanes * element.b_bits
        ports = {
            "a": In(shape.rows * self.a_width),
            "b": In(shape.columns * self.b_width),
            "first": In(1),
            "enable": In(1),
            "load": In(element.serial),
            "ternary": In(int(element.pe == "booth_flex")),
            "done": Out(element.serial * shape.rows),
            "state": Out(shape.rows * shape.columns * element.state_bits),
        }
        super().__init__("array", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, shape, element = self.module(), self.shape, self.shape.element
        accumulate = Accumulate(element, registered=shape.registered)
        if element.pe == "ent":
            self.encode = DigitEncode(element.a_width)
        if element.serial:
            self.queue = DigitQueue(element)
            self.finished: list[Value] = []
        columns: list[Value] = [self.b[n * self.b_width :][: self.b_width] for n in range(shape.columns)]
        if not (element.serial and shape.registered):
            columns = [self._held(m, f"b{n}", word) for n, word in enumerate(columns)]
        states = []
        for row in range(shape.rows):
            a = self._operand(m, f"a{row}", self.a[row * self.a_width :][: self.a_width])
            for column in range(shape.columns):
                here = f"{row}_{column}"
                states.append(Signal(element.state_bits, name=f"state{here}"))
                pins = {
                    "first": self.first,
                    "enable": self.enable,
                    "state": states[-1],
                    "ternary": self.ternary,
                }
                word = self._encoded(m, f"inside{here}", a) if shape.encoded_inside else a
                pins["digit" if element.serial else "a"] = word
                self.use(m, accumulate, f"element{here}", b=columns[column], **pins)
                if shape.passing:
                    a = self._held(m, f"a{here}", a)
                    columns[column] = self._held(m, f"b{here}", columns[column])
        m.d.comb += self.state.eq(Cat(*states))
        if element.serial:
            m.d.comb += self.done.eq(Cat(*self.finished))
        return m

    def _operand(self, m: Module, name: str, word: Value) -> Value:
        """An operand as it enters its row."""
        element = self.shape.element
        if element.serial:
            return self._held(m, name, self._digits(m, name, word))
        if element.pe == "ent" and not self.shape.encoded_inside:
            word = self._encoded(m, name, word)
        return self._held(m, name, word)

    def _encoded(self, m: Module, name: str, word: Value) -> Value:
        element, codes = self.shape.element, []
        for lane in range(element.lanes):
            codes.append(Signal(element.a_bits, name=f"code_{name}_{lane}"))
            operand = word[lane * element.a_width :][: element.a_width]
            self.use(m, self.encode, f"encode_{name}_{lane}", a=operand, code=codes[-1])
        return Cat(*codes)

    def _digits(self, m: Module, name: str, word: Value) -> Value:
        element = self.shape.element
        shown = [Signal(element.digit_bits, name=f"digit_{name}_{lane}") for lane in range(element.lanes)]
        done = [Signal(name=f"done_{name}_{lane}") for lane in range(element.lanes)]
        for lane in range(element.lanes):
            pins = {"load": self.load, "enable": self.enable, "digit": shown[lane], "done": done[lane]}
            operand = word[lane * element.a_width :][: element.a_width]
            self.use(m, self.queue, f"queue_{name}_{lane}", a=operand, **pins)
        self.finished.append(Cat(*done).all())
        return Cat(*shown)

    def _held(self, m: Module, name: str, word: Value) -> Value:
        held = Signal(len(word), name=f"held_{name}", reset_less=True)
        m.d.sync += held.eq(word)
        return held


def _a_bits(element: Element) -> int:
    return int(element.a_width if element.serial else element.a_bits)


def int8(pe: str, lanes: int = 1) -> Element:
    """An element of 8-bit operands and a 32-bit total; ternary weights where it takes no others."""
    return Element(pe, 2 if pe == "ternary" else 8, 8, lanes, 32).check()


def floating(number: str, accumulate: str = "same") -> Element:
    """A float element."""
    width = formats.get(number).width
    return Element("float", width, width, 1, 32, number, accumulate).check()


ELEMENTS: dict[str, Shape] = {
    "MAC": Shape(int8("mac")),
    "MAC, product registered": Shape(int8("mac"), registered=True),
    "OPT1": Shape(int8("opt1")),
    "OPT3": Shape(int8("opt3")),
    "OPT4C column of 16": Shape(int8("opt4c"), 1, 16),
    "OPT4C column of 16, rows registered": Shape(int8("opt4c"), 1, 16, registered=True),
    "OPT4C column of 32": Shape(int8("opt4c"), 1, 32),
    "OPT4C column of 32, rows registered": Shape(int8("opt4c"), 1, 32, registered=True),
    "OPT4E": Shape(int8("opt4e", 4)),
    "OPT4E, rows registered": Shape(int8("opt4e", 4), registered=True),
    "OPT2, 16 x 4": Shape(int8("opt2", 16), 1, 4, registered=True),
    "MAC tree, 16 x 4": Shape(int8("mac", 16), 1, 4, registered=True),
    "ternary": Shape(int8("ternary")),
    "ternary, 4 weights": Shape(int8("ternary", 4)),
    "BoothFlex": Shape(int8("booth_flex")),
}
ORGANIZATIONS: dict[str, dict[str, Shape]] = {
    "systolic": {
        "MAC": Shape(int8("mac"), 4, 4, passing=True),
        "OPT1": Shape(int8("opt1"), 4, 4, passing=True),
    },
    "cube": {
        "MAC": Shape(int8("mac", 4), 4, 4),
        "OPT1": Shape(int8("opt1", 4), 4, 4),
    },
    "tree": {
        "MAC": Shape(int8("mac", 16), 1, 4, registered=True),
        "OPT1": Shape(int8("opt1", 16), 1, 4, registered=True),
        "OPT2": Shape(int8("opt2", 16), 1, 4, registered=True),
    },
    "matrix": {
        "MAC": Shape(int8("mac"), 4, 4),
        "OPT1": Shape(int8("opt1"), 4, 4),
        "OPT3": Shape(int8("opt3"), 4, 4),
        "OPT4C": Shape(int8("opt4c"), 4, 16),
        "OPT4E": Shape(int8("opt4e", 4), 4, 4),
        "OPT4E, rows registered": Shape(int8("opt4e", 4), 4, 4, registered=True),
    },
}
FLOATS: dict[str, Shape] = {
    f"{label}{', product registered' if registered else ''}": Shape(element, registered=registered)
    for label, element in {
        "fp16": floating("fp16"),
        "bf16": floating("bf16"),
        "fp8_e4m3": floating("fp8_e4m3"),
        "fp8_e4m3, sums in fp16": floating("fp8_e4m3", "fp16"),
        "fp8_e5m2, sums in bf16": floating("fp8_e5m2", "bf16"),
    }.items()
    for registered in (False, True)
}
ENCODERS: dict[str, Shape] = {
    "plain MAC": Shape(int8("mac"), 8, 8, passing=True),
    "EN-T inside": Shape(int8("ent"), 8, 8, passing=True, encoded_inside=True),
    "EN-T outside": Shape(int8("ent"), 8, 8, passing=True),
}


Row = dict[str, Any]


def mapped(block: Block, technology: str) -> Synthesis:
    """The block in cells of a technology."""
    emitted = emit(block)
    with tempfile.TemporaryDirectory(prefix="ternforge-bit-weight-") as scratch:
        files = []
        for name, text in emitted.modules.items():
            files.append(Path(scratch) / f"{name}.v")
            files[-1].write_text(text)
        return synthesize(files, technology, top=emitted.top, recipe=LEAST)


def measure(shape: Shape, technology: str) -> Row:
    """Area in um2, delay in ns, products per cycle, and products per ns and mm2."""
    found = mapped(Array(shape), technology)
    kinds = ("input_to_register", "register_to_register")
    delay = max(found.path_classes_ps[kind] for kind in kinds) / 1000
    return {
        "area_um2": round(found.area_um2, 2),
        "delay_ns": round(delay, 3),
        "flip_flops": found.flip_flops,
        "products_per_cycle": round(shape.products, 3),
        "products_per_ns_mm2": round(1e6 * shape.products / delay / found.area_um2, 1),
    }


def measured(technology: str) -> dict[str, dict[str, Row]]:
    """Every table's rows."""
    tables = {"elements": ELEMENTS, **ORGANIZATIONS, "encoders": ENCODERS, "floats": FLOATS}
    return {
        name: {label: measure(shape, technology) for label, shape in shapes.items()}
        for name, shapes in tables.items()
    }


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*cells: str) -> list[str]:
    return [_line(*cells), _line("---", *["---:"] * (len(cells) - 1))]


def _verdict(row: Row, stated: tuple[float, float]) -> str:
    smaller = 100 * (1 - row["area_um2"] / stated[0])
    area = f"{smaller:.0f} % smaller" if smaller >= 0 else f"{-smaller:.0f} % larger"
    slower = row["delay_ns"] / stated[1]
    return f"{area}, {slower:.2f} x as slow" if slower > 1 else f"{area}, {1 / slower:.2f} x as fast"


def elements_table(rows: dict[str, Row], stated: bool) -> list[str]:
    """Area and delay of the elements, beside those of the public RTL."""
    head = ("", "um2, ns", "products per cycle", "per ns and mm2")
    more = ("public RTL, least area", "ours against it", "public RTL, balanced", "ours against it")
    lines = _head(*head, *(more if stated else ()))
    for label, row in rows.items():
        cells = [label, f"{row['area_um2']:.1f}, {row['delay_ns']:.2f}", f"{row['products_per_cycle']:.2f}",
                 f"{row['products_per_ns_mm2']:.0f}"]  # fmt: skip
        for point in STATED.get(label.removesuffix(", rows registered"), ()) if stated else ():
            cells += [f"{point[0]:g}, {point[1]:g}", _verdict(row, point)]
        lines.append(_line(*cells, *[""] * (8 - len(cells) if stated else 0)))
    return lines


def organizations_table(tables: dict[str, dict[str, Row]]) -> list[str]:
    """Gains over the MAC of each organization, beside the published ones."""
    lines = _head("", "um2, ns", "products per cycle", "gain in area efficiency", "published")
    for organization in ORGANIZATIONS:
        rows = tables[organization]
        base = rows["MAC"]["products_per_ns_mm2"]
        for label, row in rows.items():
            gain = row["products_per_ns_mm2"] / base
            shown = f"{PUBLISHED[organization]}" if label != "MAC" else ""
            area = f"{row['area_um2']:.0f}, {row['delay_ns']:.2f}"
            lines.append(
                _line(
                    f"{organization}, {label}", area, f"{row['products_per_cycle']:.1f}", f"{gain:.2f}", shown
                )
            )
    return lines


def encoders_table(rows: dict[str, Row]) -> list[str]:
    """Savings of encoding outside the array."""
    base = rows["EN-T inside"]
    lines = _head("8 x 8, systolic", "um2, ns", "area against inside", "area efficiency against inside")
    for label, row in rows.items():
        smaller = 100 * (1 - row["area_um2"] / base["area_um2"])
        gain = 100 * (row["products_per_ns_mm2"] / base["products_per_ns_mm2"] - 1)
        area = f"{row['area_um2']:.0f}, {row['delay_ns']:.2f}"
        lines.append(_line(label, area, f"{-smaller:+.1f} %", f"{gain:+.1f} %"))
    return lines


def page(answer: dict[str, dict[str, dict[str, Row]]]) -> str:
    """The document."""
    lines = [
        "# Bit-weight processing elements",
        "",
        "`python -m benchmarks.bit_weight --write docs/bit_weight.md` writes this page.",
    ]
    lines += ["", *_INTRODUCTION.strip().splitlines()]
    for technology, tables in answer.items():
        lines += ["", f"## {technology}", "", *elements_table(tables["elements"], technology == "asap7")]
        lines += ["", *organizations_table(tables), "", *encoders_table(tables["encoders"])]
        lines += ["", *elements_table(tables["floats"], False)]
        if technology == "asap7":
            lines += ["", *_READING.strip().splitlines()]
    return "\n".join([*lines, ""])


_INTRODUCTION = f"""
INT8 operands, accumulators of 32 bits, mapped for least area by our own recipe (`area/4`). The clock is the longest
path into a register. Area efficiency is products per nanosecond and mm2 at that clock. Serial elements are timed on
operands drawn from a normal distribution (standard deviation {DEVIATION}, rounded); those that walk in step wait for
the longest. Registers stand in front of the operands; where rows are registered, behind the shifter instead of in
front of `b`.
Final additions (`Resolve`) stand outside the arrays, as in the paper, and are not counted.

"Public RTL" is that of the paper (HPCA 2025), mapped by the same tools in asap7 with two recipes, for least area
and balanced; we have one recipe, for least area. Differences in what is inside: the public OPT3 and OPT4C elements add
up digits of one weight only, accumulate 26 bits, and leave the shift to whoever adds up the weights; ours shift inside
and accumulate 32 bits. The public OPT1 has no input that starts a new sum.
"""
_READING = """
What to read from it:

- At the clock of the public elements ours are smaller, in both recipes: a MAC is fused with its accumulator, a sum in
  carry-save form keeps two bits of a column only where that is faster, and the high bits of every accumulator only
  count. The exception is OPT2 against the balanced recipe, which is a third faster and 2.7 times as large: the public
  one has six stages of registers, ours two.
- OPT1 gains more than was published. The baseline is a MAC mapped for least area, whose adder ripples; in the paper
  it was sized to its clock and grew 1.93 times from 1 to 1.5 GHz.
- In the matrix OPT3 and OPT4C lose against OPT1: with these cells a flip-flop is larger than a full adder, and rows
  that step together wait for each other at every k (a column alone does not). OPT4E, which shares registers, gains
  about what was published.
- EN-T encoders outside save what they take in every element. Published for that are 8.7, 12.2 and 11.0 percent of
  area efficiency at 256 GOPS, 1 and 4 TOPS. Against a MAC that encodes nothing it wins nothing here.
- Float elements add in one cycle, which is their clock; a register behind the product takes the multiplier out of it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--technology", action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    answer = {technology: measured(technology) for technology in given.technology or ["asap7", "sky130hd"]}
    text = json.dumps(answer, indent=1) if given.json else page(answer)
    if given.write:
        given.write.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
