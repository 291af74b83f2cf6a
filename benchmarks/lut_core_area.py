"""Area and delay of our ternary-LUT core against the published structure, one recipe, one run.

    python benchmarks/lut_core_area.py [--technology asap7] [--json]

The published structure (ternary LUT DSE, Geens et al., ISPASS 2026) at the same (mu, L, F) and INT8: every entry a
direct sum into a registered table, two's complement negation after the fetch, everything sign-extended to 32 bits, a
chain of adders over the L tables, one 32-bit accumulator register per output column. Ours are the modules the
generator emits for a design of one column group (``n_max = F``, ``k_max = 6912``). Both are cores only: activations
and keys come in from outside, no AXI shell. A core of ours that would be slower than the published one registers the
fetched values, so that it has the same one stage inside. Every distinct module is mapped once; areas add up.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Synthesis, synthesize
from generator.arithmetic.integers import parts
from generator.block import Block
from generator.emission import emit
from generator.families.ternary_lut.fetch import Fetch
from generator.families.ternary_lut.lane import Lane
from generator.families.ternary_lut.table import TableBuild

POINTS = ((2, 4, 32), (2, 8, 16), (3, 8, 16), (4, 8, 16))
#: Stated elsewhere for the published structure in asap7: (um2, ns).
STATED = {
    (2, 4, 32): (2782, 1.77),
    (2, 8, 16): (2530, 1.72),
    (3, 8, 16): (3994, 1.81),
    (4, 8, 16): (8339, 1.88),
}
ACT_WIDTH, WORD, K_MAX = 8, 32, 6912


class Core(Block):
    """A ternary-LUT core without its shell."""

    place = "core"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        keys = spec.lut_count * spec.fetch_count * int(ternary.key_width("sign_index", spec.mu))
        ports = {
            "activation": In(int(spec.tile_k) * spec.act_width),
            "key": In(keys),
            "first": In(1),
            "enable": In(1),
            "result": Out(spec.fetch_count * int(spec.result_width)),
        }
        super().__init__("core", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        build, fetch, lane = TableBuild(spec), Fetch(spec), Lane(spec)
        tables: list[Value] = []
        for number, group in enumerate(parts(self.activation, spec.mu * spec.act_width)):
            tables.append(Signal(int(spec.entries * spec.entry_width), name=f"table{number}"))
            self.use(m, build, f"build{number}", activation=group, entry=tables[-1])
        keys = iter(parts(self.key, int(ternary.key_width("sign_index", spec.mu))))
        enable = self.enable if spec.fetch_register else Const(0, 0)
        results: list[Value] = []
        for column in range(spec.fetch_count):
            values = [Signal(int(spec.entry_width), name=f"value{column}_{n}") for n in range(spec.lut_count)]
            signs = [Signal(name=f"sign{column}_{n}") for n in range(spec.lut_count)]
            for number, table in enumerate(tables):
                pins = {"key": next(keys), "entry": table, "value": values[number], "sign": signs[number]}
                self.use(m, fetch, f"fetch{column}_{number}", enable=enable, **pins)
            results.append(Signal(int(spec.result_width), name=f"result{column}"))
            pins = {"value": Cat(*values), "sign": Cat(*signs), "first": self.first, "result": results[-1]}
            self.use(m, lane, f"lane{column}", enable_accumulator=self.enable, **pins)
        m.d.comb += self.result.eq(Cat(*results))
        return m


def published(mu: int, tables: int, columns: int) -> str:
    """Verilog of the published structure."""
    entries, width = int(ternary.half_entries(mu)), ACT_WIDTH + mu - 1
    key = int(ternary.key_width("sign_index", mu))
    text = [f"module build(input clk, input [{mu * ACT_WIDTH - 1}:0] a, output [{entries * width - 1}:0] t);"]
    for place in range(mu):
        text.append(f"wire signed [{WORD - 1}:0] a{place} = $signed(a[{place * ACT_WIDTH} +: {ACT_WIDTH}]);")
    for entry, signs in enumerate(ternary.raw_weights(mu)[:entries]):
        terms = "".join(f" {'+' if sign > 0 else '-'} a{place}" for place, sign in enumerate(signs) if sign)
        text.append(f"wire signed [{WORD - 1}:0] s{entry} = {terms.removeprefix(' +')};")
        text.append(
            f"reg [{width - 1}:0] r{entry}; always @(posedge clk) r{entry} <= s{entry}[{width - 1}:0];"
        )
        text.append(f"assign t[{entry * width} +: {width}] = r{entry};")
    text.append(f"endmodule\nmodule fetch(input [{key - 1}:0] k, input [{entries * width - 1}:0] t,")
    text.append(
        f"output signed [{WORD - 1}:0] v);\nreg signed [{WORD - 1}:0] m;\nalways @* case (k[{key - 2}:0])"
    )
    for entry in range(entries):
        text.append(f"{key - 1}'d{entry}: m = $signed(t[{entry * width} +: {width}]);")
    text.append(f"default: m = 0;\nendcase\nassign v = k[{key - 1}] ? -m : m;\nendmodule")
    text.append(
        f"module lane(input clk, input clear, input [{tables * WORD - 1}:0] v, output [{WORD - 1}:0] y);"
    )
    for table in range(tables):
        before = f"c{table - 1} + " if table else ""
        text.append(f"wire [{WORD - 1}:0] c{table} = {before}v[{table * WORD} +: {WORD}];")
    text.append(f"reg [{WORD - 1}:0] acc; assign y = acc;")
    text.append(f"always @(posedge clk) acc <= (clear ? {WORD}'d0 : acc) + c{tables - 1};\nendmodule")
    text.append(f"module core(input clk, input clear, input [{tables * mu * ACT_WIDTH - 1}:0] a,")
    text.append(f"input [{tables * columns * key - 1}:0] k, output [{columns * WORD - 1}:0] y);")
    for table in range(tables):
        part = f"a[{table * mu * ACT_WIDTH} +: {mu * ACT_WIDTH}]"
        text.append(
            f"wire [{entries * width - 1}:0] t{table}; build b{table}(.clk(clk), .a({part}), .t(t{table}));"
        )
    for column in range(columns):
        text.append(f"wire [{tables * WORD - 1}:0] v{column};")
        for table in range(tables):
            name, part = f"f{column}_{table}", f"k[{(column * tables + table) * key} +: {key}]"
            text.append(f"fetch {name}(.k({part}), .t(t{table}), .v(v{column}[{table * WORD} +: {WORD}]));")
        text.append(
            f"lane l{column}(.clk(clk), .clear(clear), .v(v{column}), .y(y[{column * WORD} +: {WORD}]));"
        )
    return "\n".join([*text, "endmodule", ""])


def mapped(texts: dict[str, str], technology: str) -> Synthesis:
    with tempfile.TemporaryDirectory(prefix="ternforge-area-") as scratch:
        files = []
        for name, text in texts.items():
            files.append(Path(scratch) / f"{name}.v")
            files[-1].write_text(text)
        return synthesize(files, technology, top="core", recipe=LEAST)


def delay(found: Synthesis) -> float:
    """Longest path into a register, in ns."""
    kinds = ("input_to_register", "register_to_register")
    return max(found.path_classes_ps[kind] for kind in kinds) / 1000


def compare(point: tuple[int, int, int], technology: str) -> dict[str, Any]:
    """One row of the table."""
    mu, tables, columns = point
    theirs = mapped({"core": published(mu, tables, columns)}, technology)
    sizes: dict[str, Any] = {"mu": mu, "lut_count": tables, "fetch_count": columns, "act_width": ACT_WIDTH}
    for registered in (False, True):
        spec = TernaryLutSpec(**sizes, k_max=K_MAX, n_max=columns, fetch_register=registered)
        ours = mapped(emit(Core(spec)).modules, technology)
        if delay(ours) <= delay(theirs):
            break
    return {
        "mu": mu, "lut_count": tables, "fetch_count": columns, "fetch_register": registered,
        "published_um2": theirs.area_um2, "published_ns": delay(theirs),
        "area_um2": ours.area_um2, "delay_ns": delay(ours),
        "smaller_percent": 100 * (1 - ours.area_um2 / theirs.area_um2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--technology", default="asap7")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [compare(point, given.technology) for point in POINTS]
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("| mu, L, F | published um2, ns | ours um2, ns | smaller | stated um2, ns | smaller than stated |")
    print("|---|---|---|---|---|---|")
    for row, point in zip(rows, POINTS, strict=True):
        area, time = STATED[point]
        stage = " (fetch registered)" if row["fetch_register"] else ""
        print(
            f"| {point} | {row['published_um2']:.0f}, {row['published_ns']:.2f} | {row['area_um2']:.0f}, "
            f"{row['delay_ns']:.2f}{stage} | {row['smaller_percent']:.0f} % | {area}, {time} | "
            f"{100 * (1 - row['area_um2'] / area):.0f} % |"
        )
    mean = sum(row["smaller_percent"] for row in rows) / len(rows)
    print(f"mean {mean:.0f} % smaller, least {min(row['smaller_percent'] for row in rows):.0f} %")


if __name__ == "__main__":
    main()
