"""Clock gates: the netlist computes what the one with multiplexers does, is smaller, and is timed and priced so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import axi
from blueprint.errors import ParamError
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.spec import Spec
from costmodel.groundtruth import activity, clock_gating, opensta, synthesis
from costmodel.groundtruth.flatten import owners
from costmodel.groundtruth.recipe import BUFFERED, GATED
from costmodel.technology import roles, technology
from costmodel.technology.liberty import Arc, Cell, Pin
from generator.export import write_hardware
from tests.costmodel import tiny
from tests.costmodel.gates import Gates

KEEP = """module keep (input clk, rst_n, input [1:0] en, input [19:0] a, input [2:0] b,
             output reg [19:0] y, output reg [2:0] z, output reg [7:0] free);
  always @(posedge clk) begin
    free <= a[7:0];
    if (!rst_n) y <= 0; else if (en[0]) y <= y + a;
    if (en[1]) z <= b;
  end
endmodule"""
WIDE = """module wide (input clk, en, input [{last}:0] a, output reg [{last}:0] y);
  always @(posedge clk) if (en) y <= a;
endmodule"""
GATED_LIBRARIES = ("asap7", "sky130hd")


def mapped(
    folder: Path, rtl: str, name: str = "asap7", recipe: str = GATED, **given: Any
) -> synthesis.Mapped:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / f"{top}.v").write_text(rtl)
    return synthesis.mapped(folder / f"{top}.v", name, top=top, recipe=recipe, flatten=True, **given)


def gates(found: synthesis.Mapped) -> dict[str, Any]:
    cells = found.netlists[found.top]["cells"].items()
    return {name: cell for name, cell in cells if found.technology.cells[cell["type"]].clock_gate}


@pytest.mark.parametrize("name", GATED_LIBRARIES)
def test_gated_registers_take_and_keep_what_multiplexers_would(tmp_path: Path, name: str) -> None:
    both = [mapped(tmp_path, KEEP, name, recipe) for recipe in (BUFFERED, GATED)]
    assert len(gates(both[0])) == 0 < len(gates(both[1]))
    runs = [Gates(found.netlists["keep"], found.technology.cells) for found in both]
    lanes = np.random.default_rng(3)
    for cycle in range(12):
        values = {
            "clk": np.zeros(64, int),
            "rst_n": np.full(64, int(cycle not in (0, 7))),
            "en": lanes.integers(0, 4, 64)
            if cycle
            else np.full(64, 3),  # what stands in them at first is not known
            "a": lanes.integers(0, 2**20, 64),
            "b": lanes.integers(0, 8, 64),
        }
        for run in runs:
            for port, numbers in values.items():
                run.drive(port, numbers)
            run.settle()
            run.clock()
            run.settle()
        for port in ("y", "z", "free"):
            assert (runs[0].read(port) == runs[1].read(port)).all(), (cycle, port)


@pytest.mark.parametrize("name", GATED_LIBRARIES)
def test_a_gate_stands_where_it_is_smaller_than_the_multiplexers(tmp_path: Path, name: str) -> None:
    least = clock_gating.least(technology.load(name))
    few, enough = (WIDE.format(last=width - 1) for width in (least - 1, least))
    assert len(gates(mapped(tmp_path, few, name))) == 0
    assert len(gates(mapped(tmp_path, enough, name))) == 1
    areas = [
        synthesis.summary(mapped(tmp_path, enough, name, recipe)).area_um2 for recipe in (BUFFERED, GATED)
    ]
    assert areas[1] < areas[0]


def test_a_gate_drives_no_more_clock_pins_than_the_library_lets_it(tmp_path: Path) -> None:
    found = mapped(tmp_path, WIDE.format(last=399))
    tech = found.technology
    flip_flop = tech.roles.flip_flop
    assert flip_flop is not None
    pin = tech.cells[flip_flop.cell].pin(flip_flop.clock).capacitance
    limit = tech.cells[tech.roles.clock_gate].pin("GCLK").max_capacitance
    loads = {cell["connections"]["GCLK"][0]: 0.0 for cell in gates(found).values()}
    for cell in found.netlists["wide"]["cells"].values():
        if tech.cells[cell["type"]].sequential:
            loads[cell["connections"]["CLK"][0]] += pin
    assert len(loads) == -(-400 * pin // limit) == 5
    assert sum(loads.values()) == pytest.approx(400 * pin) and max(loads.values()) <= limit
    summary = synthesis.summary(found)
    assert summary.clock_gates == 5 and summary.flip_flops == 400
    assert summary.clock_gate_area_um2 == pytest.approx(5 * 0.26244)


def test_a_library_without_limits_has_gates_of_64_registers() -> None:
    shares = clock_gating._shares([("register", "CLK", 1.0)] * 129, None)
    assert [len(share) for share in shares] == [43, 43, 43]


def test_the_enable_is_due_its_setup_time_before_the_clock(tmp_path: Path) -> None:
    found = mapped(tmp_path, WIDE.format(last=40))
    tech, graph = found.technology, found.graph
    (gate,) = gates(found).values()
    cell = tech.cells[gate["type"]]
    setup = next(arc for arc in cell.arcs if (arc.pin, arc.kind) == ("ENA", "setup_rising"))
    slew = graph.default_slew()
    assert setup.rise is not None and setup.fall is not None
    expected = max(table.at(slew, slew) for table in (setup.rise, setup.fall))
    assert gate["connections"]["ENA"] == found.netlists["wide"]["ports"]["en"]["bits"]
    data = [arc for arc in tech.cells[tech.roles.flip_flop.cell].arcs if arc.kind == "setup_rising"]
    assert all(arc.rise.at(slew, slew) < expected and arc.fall.at(slew, slew) < expected for arc in data)
    assert found.timing.classes["input_to_register"] == pytest.approx(expected)


@pytest.mark.skipif(opensta.installed() is None, reason="OpenSTA is not installed here")
@pytest.mark.parametrize("name", GATED_LIBRARIES)
def test_opensta_times_gated_netlists_as_we_do(tmp_path: Path, name: str) -> None:
    found = mapped(tmp_path, KEEP, name)
    assert found.timing.critical_path_ps == pytest.approx(
        opensta.analyze(found, tmp_path).critical_path_ps, rel=0.005
    )
    wide = mapped(tmp_path, WIDE.format(last=40), name)
    theirs = opensta.analyze(wide, tmp_path).critical_path_ps
    assert wide.timing.critical_path_ps == pytest.approx(theirs, rel=0.005)


def test_clocks_behind_a_closed_gate_cost_nothing(tmp_path: Path) -> None:
    """The energy of clock pins, recomputed from the cells: 40 registers that are open a quarter of the time."""
    found = mapped(tmp_path, WIDE.format(last=39), wires="none")
    tech = found.technology
    machine = activity._Machine(found.flat, found.netlists["wide"]["ports"], tech)
    machine.counting = True
    for cycle in range(8):
        machine.put("en", int(cycle % 4 == 0))
        machine.put("a", 0)
        machine.settle()
        machine.clock()
    energy = machine.clocks(owners(found.flat, {"wide": "all"}), 8)["all"]

    def toggle(cell: Cell, pin: str) -> float:
        tables = [t for item in cell.energies if item.pin == pin for t in (item.rise, item.fall) if t]
        mean = sum(t.values[0][0] for t in tables) / len(tables) if tables else 0.0
        return 0.5e-3 * tech.voltage**2 * cell.pin(pin).capacitance + mean

    flip_flop, gate = tech.cells[tech.roles.flip_flop.cell], tech.cells[tech.roles.clock_gate]
    shut = 2 * toggle(gate, "CLK")
    opened = 2 * (toggle(gate, "GCLK") + 40 * toggle(flip_flop, "CLK"))
    assert energy == pytest.approx(shut + opened / 4)


def _design(kind: str) -> Spec:
    if kind == "tables":
        return TernaryLutSpec(
            mu=2,
            lut_count=2,
            fetch_count=2,
            act_width=8,
            k_max=32,
            n_max=8,
            carry_save_sums=True,
            resolve_cycles=2,
        )
    if kind == "arrays":
        return SystolicSpec(
            organization="output_stationary", pe="mac", rows=2, cols=2, dot_length=1, act_width=8, weight_width=8,
            k_max=32, n_max=8,
        )  # fmt: skip
    return StreamingAttentionSpec(graph="memory_free", dim=4, keys_max=16, format="int8")


def results(machine: Any, manifest: Any) -> dict[str, Any]:
    """What the results' stream says: 64 runs a word, data where they are valid."""
    (port,) = (port for port in axi.stream_ports(manifest) if not port.is_input)
    valid, last, data = (machine.values[machine.pins[name]] for name in (port.valid, port.last, port.data))
    return {"valid": valid, "last": last & valid, "data": data & valid}


@pytest.mark.parametrize("kind", ["tables", "arrays", "attention"])
def test_gated_designs_compute_the_same_every_cycle(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All outputs of 64 runs in every cycle; the gated netlist is smaller and its clocks cost less."""
    spec = _design(kind)
    manifest = write_hardware(spec, tmp_path)
    tech = technology.load("asap7")
    machine = activity._Machine
    seen: dict[str, list[Any]] = {}
    energies: dict[str, float] = {}
    areas: dict[str, float] = {}
    for recipe in (BUFFERED, GATED):
        found = synthesis.mapped(tmp_path, tech, recipe=recipe)
        outputs: list[Any] = []

        class Watched(machine):  # type: ignore[misc,valid-type]
            def settle(self, before: Any = None) -> None:
                super().settle(before)
                outputs.append(results(self, manifest))  # noqa: B023

        monkeypatch.setattr(activity, "_Machine", Watched)
        measured = activity.measure(spec, tmp_path, manifest, tech, netlist=found)
        seen[recipe], energies[recipe] = outputs, sum(measured.clocks.values())
        areas[recipe] = synthesis.summary(found).area_um2
    both = list(zip(seen[BUFFERED], seen[GATED], strict=True))[axi.RESET_CYCLES + 1 :]
    assert len(both) > 20 and any(one["valid"].any() for one, _ in both)
    assert all((one[name] == other[name]).all() for one, other in both for name in one)
    assert len({tuple(one["data"].tolist()) for one, _ in both}) > 3
    assert areas[GATED] < areas[BUFFERED] and energies[GATED] < energies[BUFFERED]


def test_a_library_without_a_gate_is_refused(tmp_path: Path) -> None:
    message = (
        "^Recipe must be one without clock gates for tiny, whose technology file names no clock gate that a rising "
        "clock can use$"
    )
    with pytest.raises(ParamError, match=message):
        mapped(tmp_path, KEEP, tiny.technology(tmp_path))  # type: ignore[arg-type]


def _gate(kind: str, *inputs: Pin, checked: tuple[str, ...] = ("E",)) -> Cell:
    arcs = tuple(Arc(pin, "CK", "non_unate", "setup_rising", None, None, None, None) for pin in checked)
    return Cell("G", 3.0, (*inputs, Pin("Q", "output", 0.0)), clock_gate=kind, arcs=arcs)


CLOCK, ENABLE, TEST = Pin("CK", "input", 1.0, clock=True), Pin("E", "input", 1.0), Pin("T", "input", 1.0)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (_gate("latch_posedge", ENABLE, CLOCK), roles.ClockGate("G", "CK", "E", "Q")),
        (
            _gate("latch_posedge_postcontrol", TEST, CLOCK, ENABLE),
            roles.ClockGate("G", "CK", "E", "Q", (("T", False),)),
        ),
        (_gate("latch_posedge", ENABLE, replace(CLOCK, clock=False)), roles.ClockGate("G", "CK", "E", "Q")),
        (_gate("latch_negedge", ENABLE, CLOCK), None),
        (_gate("none_posedge", ENABLE, CLOCK), None),
        (_gate("latch_posedge", CLOCK), None),
        (replace(_gate("latch_posedge", ENABLE, CLOCK), clock_gate=None), None),
    ],
)
def test_the_pins_of_a_gate_are_found(cell: Cell, expected: roles.ClockGate | None) -> None:
    assert roles.clock_gate(cell) == expected


def test_roles_prefer_a_gate_that_a_rising_clock_can_use() -> None:
    large = replace(_gate("latch_posedge", ENABLE, CLOCK), name="LARGE", area=9.0)
    small = _gate("latch_negedge", ENABLE, CLOCK)
    assert roles.choose([small, large]).clock_gate == "LARGE"
    assert roles.choose([small]).clock_gate == "G"
