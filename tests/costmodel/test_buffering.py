"""Buffers, wires and strengths: what is inserted computes the same, is faster, and buys speed for area."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from costmodel.groundtruth import buffering, closure, recipe, sizing, sta, synthesis, wires
from costmodel.groundtruth.flatten import flatten
from costmodel.technology import liberty, technology
from costmodel.technology.liberty import WireLoad, Wires
from tests.costmodel import tiny
from tests.costmodel.gates import Gates
from tests.costmodel.test_sta import cell, module
from tests.costmodel.test_synthesis import RIPPLE

WIDE = """module wide (input clk, input [7:0] x, input s, output reg [63:0] y);
  reg g; reg [7:0] r; integer i;
  always @(posedge clk) begin
    g <= s; r <= x;
    for (i = 0; i < 64; i = i + 1) y[i] <= g ? r[i % 8] ^ y[i] : r[(i + 3) % 8];
  end
endmodule"""
LEAF = module({"a": ("input", [2]), "y": ("output", [3])}, g=cell("INVx1_ASAP7_75t_R", A=2, Y=3))


def parts(folder: Path, rtl: str, name: str = "asap7") -> tuple[str, Any, technology.Technology]:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / f"{top}.v").write_text(rtl)
    tech = technology.load(name)
    return top, synthesis._netlists(synthesis._front([folder / f"{top}.v"], top, (), True), tech, False), tech


def synthesize(folder: Path, rtl: str, **given: Any) -> synthesis.Synthesis:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / f"{top}.v").write_text(rtl)
    return synthesis.synthesize(folder / f"{top}.v", "asap7", top=top, **given)


def buffers(netlist: Any) -> list[str]:
    return [name for name, item in netlist["cells"].items() if item["type"].startswith("BUF")]


def test_buffered_netlist_computes_the_same(tmp_path: Path) -> None:
    top, netlists, tech = parts(tmp_path, WIDE)
    done = buffering.insert(top, netlists, tech, None)
    assert buffers(done[top]) and not buffers(netlists[top])
    lanes = np.random.default_rng(7).integers(0, 256, (6, 64))
    both = [Gates(item[top], tech.cells) for item in (netlists, done)]
    for cycle in range(6):
        for gates in both:
            for port, numbers in {"clk": np.zeros(64, int), "x": lanes[cycle], "s": lanes[cycle] % 2}.items():
                gates.drive(port, numbers)
            gates.settle()
            gates.clock()
            gates.settle()
        assert (both[0].read("y") == both[1].read("y")).all()
    assert both[0].read("y").any()


def test_one_heavy_pin_has_no_tree() -> None:
    """A tree of as many buffers as loads is none; so it is for a net of any driver."""
    trees = buffering.Trees(technology.load("asap7"), None)
    for load in (trees.least, 2 * trees.least, 1000 * trees.least):
        assert trees.choose(buffering._Net(loads=[load], fanouts=[1])) is None


def test_a_load_that_no_tree_takes_off_slows_the_driver_all_the_same() -> None:
    """Light pins alone need no tree; beside a load below a port they do, and no pin of theirs is that load."""
    trees = buffering.Trees(technology.load("asap7"), None)
    asked: list[float] = []
    trees._choose = lambda *given: asked.append(given[-1])  # type: ignore[assignment, method-assign]
    for fixed in (0.0, 0.4, 1.0):
        net = buffering._Net(loads=[trees.least / 40] * 20, fanouts=[1] * 20, fixed=fixed * trees.least)
        assert trees.choose(net) is None
    assert asked == [pytest.approx(1.5 * trees.least)]


def test_heavy_net_gets_a_tree_and_is_fast() -> None:
    tech = technology.load("asap7")
    flip_flop = "DFFHQNx1_ASAP7_75t_R"
    readers = {f"r{i}": cell(flip_flop, CLK=2, D=4, QN=10 + i) for i in range(500)}
    heavy = module(
        {"ck": ("input", [2]), "d": ("input", [3])}, first=cell(flip_flop, CLK=2, D=3, QN=4), **readers
    )
    before = sta.analyze("m", {"m": heavy}, tech, trees=False).critical_path_ps
    done = buffering.insert("m", {"m": heavy}, tech, None)
    after = sta.analyze("m", done, tech, trees=False).critical_path_ps
    assert after < 0.15 * before
    assert len(buffers(done["m"])) > 10
    # The clock, on 501 pins, is ideal and stays one net; every flip-flop is still there.
    assert sum(item["connections"].get("CLK") == [2] for item in done["m"]["cells"].values()) == 501


def test_net_between_instances_gets_its_tree_in_the_parent() -> None:
    tech = technology.load("asap7")
    leaves = {f"i{n}": {"type": "leaf", "connections": {"a": [2], "y": [10 + n]}} for n in range(200)}
    netlists = {"leaf": LEAF, "top": module({"x": ("input", [2])}, **leaves)}
    done = buffering.insert("top", netlists, tech, None)
    assert done["leaf"] == LEAF and buffers(done["top"])
    loads = sta.Graph(flatten("top", done), tech, {}).load
    assert loads.max() < 0.4 * sta.Graph(flatten("top", netlists), tech, {}).load.max()


def test_net_that_fans_out_below_a_port_gets_its_tree_in_the_child() -> None:
    tech = technology.load("asap7")
    fan = {f"g{n}": cell("INVx1_ASAP7_75t_R", A=2, Y=10 + n) for n in range(200)}
    child = module({"a": ("input", [2])}, **fan)
    top = module({"x": ("input", [2])}, one={"type": "child", "connections": {"a": [2]}})
    done = buffering.insert("top", {"child": child, "top": top}, tech, None)
    assert buffers(done["child"]) and not buffers(done["top"])


def test_light_net_keeps_its_driver() -> None:
    tech = technology.load("asap7")
    pair = module(
        {"a": ("input", [2])}, **{f"g{n}": cell("INVx1_ASAP7_75t_R", A=2, Y=3 + n) for n in range(2)}
    )
    assert buffering.insert("m", {"m": pair}, tech, None) == {"m": pair}


def test_other_strengths_time_like_the_netlist_that_names_them(tmp_path: Path) -> None:
    top, netlists, tech = parts(tmp_path, RIPPLE)
    graph = sta.Graph(flatten(top, netlists), tech, {})
    found = sizing.size(graph, 1.0)
    assert found.changes
    named = closure._resized(netlists, found.changes)
    assert sta.analyze(top, named, tech, trees=False).critical_path_ps == pytest.approx(found.delay_ps)
    assert found.delay_ps < sta.analyze(top, netlists, tech, trees=False).critical_path_ps


def test_slack_of_the_slowest_path_is_what_is_missing(tmp_path: Path) -> None:
    top, netlists, tech = parts(tmp_path, RIPPLE)
    state = sizing._State(sta.Graph(flatten(top, netlists), tech, {}))
    delay = state.time()
    assert state.wave.slack(delay - 5, state.ends).min() == pytest.approx(-5)
    assert state.wave.slack(delay, state.ends).min() == pytest.approx(0, abs=1e-6)


def test_shorter_period_costs_area_and_never_less(tmp_path: Path) -> None:
    relaxed = synthesize(tmp_path, RIPPLE, recipe=recipe.BUFFERED)
    shares = (1.0, 0.9, 0.8, 0.7)
    found = [synthesize(tmp_path, RIPPLE, period_ps=relaxed.critical_path_ps * s) for s in shares]
    for share, one in zip(shares, found, strict=True):
        assert one.critical_path_ps <= relaxed.critical_path_ps * share
        assert one.recipe == recipe.BUFFERED and one.flip_flops == relaxed.flip_flops == 12
    areas = [one.area_um2 for one in found]
    assert areas == sorted(areas) and areas[0] == pytest.approx(relaxed.area_um2) and areas[-1] > areas[0]


@pytest.mark.parametrize("style", closure.STYLES)
def test_every_style_of_adders_subtracts(tmp_path: Path, style: str) -> None:
    (tmp_path / "ripple.v").write_text(RIPPLE)
    tech = technology.load("asap7")
    modules = synthesis._front([tmp_path / "ripple.v"], "ripple", (), True)
    netlist = synthesis._netlist("ripple", modules, tech, False, style)
    gates = Gates(netlist, tech.cells)
    a, b = np.random.default_rng(3).integers(0, 4096, (2, 64))
    for port, numbers in {"clk": np.zeros(64, int), "a": a, "b": b}.items():
        gates.drive(port, numbers)
    gates.settle()
    gates.clock()
    gates.settle()
    assert (gates.read("y") == (a - b) % 4096).all()
    full = sum(item["type"] == "FAx1_ASAP7_75t_R" for item in netlist["cells"].values())
    assert (full >= 11, full == 0) == (style == "area", style == "gates")


def test_period_that_is_not_reached_is_refused_with_the_shortest(tmp_path: Path) -> None:
    text = r"^Period must be at least [0-9]+ ps, the shortest that ripple reaches in asap7, not 5; its path: input .*$"
    with pytest.raises(ParamError, match=text):
        synthesize(tmp_path, RIPPLE, period_ps=5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            ("area/4", None, "model"),
            "Recipe must be buffered/1 or gated/1 for a netlist with wires, not area/4, which has none",
        ),
        (
            ("area/4", 9.0, None),
            "Recipe must be buffered/1 or gated/1 where a period is given, not area/4, which sizes no cell",
        ),
        (
            ("bufered/1", None, None),
            "Recipe must be one of area/4, buffered/1, gated/1, not 'bufered/1'; did you mean 'buffered/1'?",
        ),
        ((None, 0.0, None), "Period must be above 0 ps and finite, not 0"),
        ((None, -3.0, None), "Period must be above 0 ps and finite, not -3"),
        ((None, math.inf, None), "Period must be above 0 ps and finite, not inf"),
        ((None, math.nan, None), "Period must be above 0 ps and finite, not nan"),
    ],
)
def test_choice_that_cannot_be_is_refused(given: tuple[Any, Any, Any], text: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(text)}"):
        recipe.choose(*given, technology.load("asap7"))


def _calibrated(stated: str) -> technology.Technology:
    """A technology whose coefficients were fitted by a recipe."""
    return technology.load("asap7").with_model({"area": {"source": f"3 random designs, recipe {stated}"}})


def test_default_recipe_is_that_of_the_technology() -> None:
    for name in technology.names():
        assert recipe.of(technology.load(name)) == technology.load(name).recipe
    assert [recipe.of(_calibrated(stated)) for stated in recipe.RECIPES] == list(recipe.RECIPES)
    least = _calibrated(recipe.LEAST)
    assert recipe.choose(None, None, None, least) == recipe.LEAST
    for given in ((None, 100.0, None), (None, None, "none")):
        assert recipe.choose(*given, least) == recipe.BUFFERED
    assert recipe.choose(recipe.BUFFERED, None, None, least) == recipe.BUFFERED
    assert recipe.choose(recipe.LEAST, None, None, _calibrated(recipe.GATED)) == recipe.LEAST


def test_cells_without_a_clock_gate_take_the_recipe_without() -> None:
    ours = technology.load("asap7")
    bare = replace(ours, roles=replace(ours.roles, clock_gate=None))
    falling = replace(ours, roles=replace(ours.roles, clock_gate=ours.roles.gates["nand2"]))
    for cells in (bare, falling):
        assert recipe.of(cells.with_model(_calibrated(recipe.GATED).model)) == recipe.BUFFERED


def test_technology_without_a_recipe_that_is_known_takes_the_standard_one() -> None:
    assert recipe.of(technology.load("asap7").with_model({})) == recipe.STANDARD == recipe.BUFFERED
    assert recipe.of(_calibrated("area/3")) == recipe.STANDARD


def test_netlist_is_by_the_recipe_of_its_technology(tmp_path: Path) -> None:
    (tmp_path / "ripple.v").write_text(RIPPLE)
    given = [_calibrated(stated) for stated in recipe.RECIPES]
    found = [synthesis.mapped(tmp_path / "ripple.v", tech, top="ripple") for tech in given]
    assert [each.recipe for each in found] == list(recipe.RECIPES)
    asked = synthesis.mapped(tmp_path / "ripple.v", given[1], top="ripple", recipe=recipe.LEAST)
    assert asked.recipe == recipe.LEAST and asked.netlists == found[0].netlists


def test_wire_length_is_linear_between_points_and_grows_by_slope_beyond() -> None:
    load = WireLoad("w", 2.0, 0.0, 10.0, ((1, 6.0), (5, 30.0)))
    assert [load.length(n) for n in (1, 3, 5, 7)] == [6.0, 18.0, 30.0, 50.0]


def test_wires_of_a_library_are_chosen_by_area() -> None:
    found = technology.load("ihp_sg13g2").wires
    assert found is not None
    assert [found.at(area).name for area in (1, 700, 5000, 1e5, 1e9)] == ["0_1k", "0_5k", "1k", "30k", "500k"]
    first = found.loads[0]
    assert Wires((first,), first.name).at(5.0) is first
    load, text = wires.choose(None, technology.load("sky130hd"), 1e4, 1000)
    assert load is not None and text == "wire load Small of the library"


def test_library_without_wires_gets_statistical_ones() -> None:
    asap7 = technology.load("asap7")
    small, _ = wires.choose(None, asap7, 100.0, 1000)
    large, text = wires.choose("model", asap7, 1e5, 1_000_000)
    assert small is not None and large is not None and text.startswith("statistical wires, ")
    assert 0.2 < small.length(1) < large.length(1) < 5.0
    assert large.length(8) == pytest.approx(8 * large.length(1))
    assert wires.choose("none", asap7, 1.0, 1) == (None, "no wires")


def test_wires_that_are_not_there_are_refused() -> None:
    with pytest.raises(
        ParamError, match="^Wires must be none or model, since asap7 has no wire-load models$"
    ):
        wires.choose("library", technology.load("asap7"), 1.0, 1)
    with pytest.raises(ParamError, match="^Wires must be one of none, library, model, not 'copper'$"):
        wires.choose("copper", technology.load("asap7"), 1.0, 1)


def test_wire_loads_of_a_file_are_in_our_units(tmp_path: Path) -> None:
    extra = """wire_load ("small") { capacitance : 0.0002; resistance : 0.01; slope : 4; fanout_length (1, 5); }
    wire_load_selection ("s") { wire_load_from_area (0, 10, small); } default_wire_load : "small";"""
    found = liberty.parse(tiny.write(tmp_path, extra=extra)).wires
    assert found == Wires((WireLoad("small", 0.2, 0.01, 4.0, ((1, 5.0),)),), "small", ((0.0, 10.0, "small"),))
    assert liberty.parse(tiny.write(tmp_path)).wires is None


def test_wire_load_that_is_no_numbers_is_refused(tmp_path: Path) -> None:
    path = tiny.write(tmp_path, extra='wire_load ("bad") { fanout_length (one, 5); }')
    with pytest.raises(SpecError, match=r"tiny.lib:[0-9]+: fanout_length must be a fan-out and a length$"):
        liberty.parse(path)
