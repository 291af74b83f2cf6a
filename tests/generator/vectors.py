"""Drives a block with vectors through CXXRTL: one row of inputs per cycle, one row of outputs back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from generator.block import Block
from generator.emission import Emitted, emit
from toolchain import cxxrtl, process

_MAIN = """
#include "model.cc"
#include <cstdio>
#include <cstdint>
int main(int, char **arguments) {{
  cxxrtl_design::{top} dut;
  FILE *in = fopen(arguments[1], "rb"), *out = fopen(arguments[2], "wb");
  uint64_t row[{inputs} + 1], found[{outputs} + 1];
  while (fread(row, 8, {inputs}, in) == {inputs}) {{
    {drive}
    {low}
    dut.step();
    {sample}
    fwrite(found, 8, {outputs}, out);
    {high}
  }}
  fclose(out);
  return 0;
}}
"""


def drive(
    block: Block, inputs: Mapping[str, npt.ArrayLike], edit: tuple[str, str] | None = None
) -> dict[str, npt.NDArray[np.int64]]:
    """Outputs of ``block`` for every row of ``inputs``; a clocked block gets a rising edge after each row.

    Outputs are sampled before the edge. ``edit`` replaces one piece of the Verilog by another: a failing twin.
    """
    names = [name for name, (flow, _) in block.pins.items() if flow.name == "In" and name != "clk"]
    results = [name for name, (flow, _) in block.pins.items() if flow.name == "Out"]
    given = np.broadcast_arrays(*(np.asarray(inputs[name], np.int64) for name in names))
    widths = {name: len(block.pins[name][1]) for name in names}
    columns = [array & ((1 << widths[name]) - 1) for name, array in zip(names, given, strict=True)]
    found = _run(block, names, results, np.stack(columns, axis=-1), edit)
    return {name: found[:, place].copy() for place, name in enumerate(results)}


def _run(
    block: Block, names: list[str], results: list[str], table: Any, edit: tuple[str, str] | None
) -> npt.NDArray[np.int64]:
    with tempfile.TemporaryDirectory(prefix="ternforge-vectors-") as scratch:
        folder = Path(scratch)
        program = _program(block, names, results, folder, edit)
        (folder / "in").write_bytes(np.ascontiguousarray(table, "<i8").tobytes())
        process.run([program, folder / "in", folder / "out"], tool="bench", timeout_s=300)
        return np.frombuffer((folder / "out").read_bytes(), "<i8").reshape(len(table), len(results))


@lru_cache(maxsize=4)
def _emitted(block: Block) -> Emitted:
    """Text of a block, written once for all the rows that this very object is given."""
    return emit(block)


def _program(
    block: Block, names: list[str], results: list[str], folder: Path, edit: tuple[str, str] | None
) -> Path:
    emitted = _emitted(block)
    text = "\n".join(emitted.modules.values())
    if edit is not None:
        assert text.count(edit[0]) >= 1, f"nothing to edit: {edit[0]!r}"
        text = text.replace(edit[0], edit[1], 1)
    source = folder / "block.v"
    source.write_text(text)
    lines = {
        "drive": [f"dut.{cxxrtl.mangle(n)}.set<uint64_t>(row[{i}]);" for i, n in enumerate(names)],
        "sample": [f"found[{i}] = dut.{cxxrtl.mangle(n)}.get<uint64_t>();" for i, n in enumerate(results)],
        "low": ["dut.p_clk.set<bool>(false);"] if block.clocked else [],
        "high": ["dut.p_clk.set<bool>(true); dut.step();"] if block.clocked else [],
    }
    main = _MAIN.format(
        top=cxxrtl.mangle(emitted.top), inputs=len(names), outputs=len(results),
        **{key: "\n    ".join(value) for key, value in lines.items()},
    )  # fmt: skip
    return cxxrtl.executable([source], emitted.top, {"main.cc": main})


class Bench(Block):
    """Many blocks side by side on shared inputs, so that all of them are compiled and run at once.

    An output of block ``name`` is called ``name`` if it is the result, else ``name_output``.
    """

    place = "bench"

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.blocks = blocks
        ports: dict[str, Any] = {}
        for name, block in blocks.items():
            for port, (flow, value) in block.pins.items():
                if flow.name == "Out":
                    ports[_output(name, port)] = Out(len(value))
                elif port not in ("clk", "rst"):
                    ports[port] = max(
                        ports.get(port, In(0)), In(len(value)), key=lambda item: int(item.shape)
                    )
        clocked = any(block.clocked for block in blocks.values())
        resets = any(block.resets for block in blocks.values())
        super().__init__("bench", ports, clocked=clocked, resets=resets)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        for name, block in self.blocks.items():
            pins = {}
            for port, (flow, value) in block.pins.items():
                if port not in ("clk", "rst"):
                    _, wire = self.pins[_output(name, port) if flow.name == "Out" else port]
                    pins[port] = wire[: len(value)]
            self.use(m, block, f"block_{name}", **pins)
        return m


def _output(name: str, port: str) -> str:
    return name if port == "result" else f"{name}_{port}"
