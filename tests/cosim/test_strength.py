"""Failing twins of the bench: changes of the Verilog that it must notice, each by the check that is meant for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.bench_strength import DESIGNS, Mutant, chosen, equivalent, every_mutant, mutants, schema
from blueprint import registry
from generator.export import write_hardware
from simulator.cosim import check as cosim
from simulator.cosim.report import Report

#: What is changed: place, pattern of a line with the expression in brackets, what stands there instead, who notices.
TWINS: dict[str, tuple[str, str, str, str]] = {
    "framing error after a right run": ("shell", r"else if \((misframed)\)", "accepted", "runs"),
    "no framing error": ("shell", r"else if \((misframed)\)", "1'h0", "framing"),
    "stall_output inverted": ("shell", r"= running & (stall_output);", "~stall_output", "runs"),
    "memory stalls not counted": ("shell", r"= running & (stall_memory);", "1'h0", "runs"),
    "reset of done tied off": ("shell", r"if \((\w+)\) done <=", "go", "registers"),
    "reset tied off": ("", r"assign rst = (~ aresetn);", "1'h0", "runs"),
    "busy not reset": ("shell", r"if \((rst)\) busy <=", "1'h0", "resets"),
    "a bit of cycles": ("shell", r"= (cycles_held) & \{", "cycles_held & ~32'h2", "runs"),
    "a high bit of cycles": ("shell", r"= (cycles_held) & \{", "cycles_held & ~32'h4000000", "counters"),
    "a bit of a stall": ("shell", r"= (stall_input_held) & \{", "stall_input_held | 32'h80", "registers"),
    "the top bit of a stall": ("shell", r"= (stall_input_held) & \{", "stall_input_held & ~32'h80000000", "counters"),
    "counters wrap": ("shell", r"assign \w+ = (& cycles_held_full);", "1'h0", "counters"),
    "a carry of a counter": ("shell", r"= (stall_output_held\[31:24\] \+ 1'h1);", "8'h0", "counters"),
    "a bit of the hash": ("shell", r"= (32'd\d{7,}) & \{", "32'd77", "registers"),
    "large numbers of k wrap": ("shell", r"else k_fits <= (\w+);", "| k_held & k_held <= 6'h28", "refusals"),
    "k too large starts": ("shell", r"else k_fits <= (\w+);", "| k_held & ~(| k_above)", "refusals"),
    "the largest k is refused": (
        "shell", r"else k_fits <= (\w+);", "| k_held & k_held < 6'h28 & ~(| k_above)", "refusals",
    ),
    "sizes live in a run": ("shell", r"else if \((go)\) k <= k_held", "1'h1", "runs"),
    "strobes ignored": ("shell", r"& (wstrb\[0\]);", "1'h1", "registers"),
    "size_error stays": ("shell", r"else if \((asked)\) size_error", "asked & ~size_error", "refusals"),
    "a start while busy": ("shell", r"assign \w+ = (~ busy);", "1'h1", "runs"),
    "tlast with every result": ("control", r"else if \(\w+\) out_tlast <= (\w+);", "1'h1", "runs"),
}  # fmt: skip


def twin(folder: Path, name: str) -> list[Mutant]:
    """The change in the first line that it fits."""
    place, pattern, text, _ = TWINS[name]
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if place in ("", manifest["modules"][Path(file).stem]["place"]):
            content = (folder / file).read_text()
            if match := re.search(pattern, content):
                return [Mutant(file, place, name, 0, match.span(1), match[1], text)]
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[cosim.Prepared, list[str]]:
    """One model with all twins in it."""
    out = tmp_path_factory.mktemp("twins")
    family, parameters = DESIGNS["tables"]
    spec = registry.get(family).from_mapping(parameters)
    write_hardware(spec, out)
    found = [mutant for name in TWINS for mutant in twin(out, name)]
    schema(out, found)
    return cosim.prepare(spec, out, cosim.cases(spec, 8, 1)), [mutant.kind for mutant in found]


@pytest.mark.slow
def test_the_design_with_no_twin_chosen_holds(bench: tuple[cosim.Prepared, list[str]]) -> None:
    prepared, names = bench
    assert len(names) == len(TWINS), set(TWINS) - set(names)
    assert prepared.run().failure is None


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TWINS))
def test_a_changed_design_is_noticed(bench: tuple[cosim.Prepared, list[str]], name: str) -> None:
    prepared, names = bench
    report = prepared.run([f"+mutant={names.index(name) + 1}"])
    assert not report.ok and report.failure is not None
    noticed = {part.name for part in report.checks if not part.ok}
    assert TWINS[name][3] in noticed, report.failure


def reported(folder: Path, design: str, module: str, pattern: str, instead: str) -> Report:
    """What the bench says of a design in one module of which a piece of the Verilog is another."""
    family, parameters = DESIGNS[design]
    spec = registry.get(family).from_mapping(parameters)
    write_hardware(spec, folder)
    (file,) = (folder / "rtl").glob(f"{module}_*.v")
    changed, count = re.subn(pattern, instead, file.read_text())
    assert count
    file.write_text(changed)
    return cosim.check(spec, folder, cosim.cases(spec, 8, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "module", "pattern", "instead", "wrong"),
    [
        # Only where every weight of the longest row is 1 is the top bit of the sum of weights ever set.
        (
            "attention, lambda",
            "softmax_sum_weights",
            r"total <= (\w+\[15:0\]);",
            r"total <= \1 & 16'h7fff;",
            2,
        ),
        # Only sums of equal signs, of numbers that are all large, carry into the top.
        ("sums stay", "pe_ternary_step", r"assign passes = (.*);", r"assign passes = (\1) | 5'h8;", 1),
    ],
)
def test_what_only_the_largest_values_show_matters(
    tmp_path: Path, design: str, module: str, pattern: str, instead: str, wrong: int
) -> None:
    report = reported(tmp_path, design, module, pattern, instead)
    assert [part.name for part in report.checks if not part.ok] == ["limits"]
    assert report.failure == f"limits: {wrong} of 2 values differ from the golden model"


@pytest.mark.slow
def test_a_byte_of_a_counter_that_few_runs_move_matters(tmp_path: Path) -> None:
    """Results wait only in a run that has many; counters are set in the middle of one."""
    counted = r"= stall_output_held\[31:24\] \+ 1'h1;"
    report = reported(
        tmp_path, "weights stay", "systolic_shell", counted, "= stall_output_held[31:24] - 1'h1;"
    )
    assert [part.name for part in report.checks if not part.ok] == ["counters"]
    assert report.failure is not None and report.failure.startswith(
        "counters: register stall_output must read 0x"
    )


TEXT = """\
module small(rst, a, b, y, clk);
  input rst;
  wire rst;
  input [3:0] a;
  wire [3:0] a;
  input b;
  wire b;
  output [3:0] y;
  reg [3:0] y;
  wire both;
  wire [3:0] sum;
  input clk;
  wire clk;
  assign both = rst & b;
  assign sum = a + 4'h3;
  always @(posedge clk)
    if (rst) y <= 4'h0;
    else if (b) y <= sum;
endmodule
"""


def test_mutants_change_one_expression_each() -> None:
    found = mutants("small.v", "small", TEXT)
    said = [str(mutant).split(": ", 1)[1] for mutant in found]
    assert "& for |: rst & b -> rst | b" in said
    assert "inverted: rst & b -> ~(rst & b)" in said
    assert "constant off by one: a + 4'h3 -> a + 4'h2" in said
    assert "+ for -: a + 4'h3 -> a - 4'h3" in said
    assert "reset tied off: rst -> 1'h0" in said
    assert "reset value: 4'h0 -> 4'h1" in said
    assert "enable stuck at 1: b -> 1'h1" in said
    assert "enable dropped: b -> 1'h0" in said
    assert all(TEXT[slice(*mutant.span)] == mutant.before != mutant.text for mutant in found)


def test_a_sample_takes_every_place_and_kind_in_turn() -> None:
    found = mutants("small.v", "small", TEXT) + mutants("other.v", "other", TEXT)
    sample = chosen(found, 12, 1)
    assert len(sample) == len(set(sample)) == 12
    assert [mutant.place for mutant in sample].count("small") == 6
    assert len({mutant.kind for mutant in sample}) >= 6
    assert sample == chosen(found, 12, 1) != chosen(found, 12, 2)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.v").write_text(TEXT)
    manifest = {"files": ["small.v"], "modules": {"small": {"place": "small", "count": 1}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_a_change_that_no_input_tells_apart_is_equivalent(small: Path) -> None:
    unused, used = (m for m in every_mutant(small) if m.kind in ("& for |", "+ for -"))
    assert (unused.before, used.before) == ("rst & b", "a + 4'h3")
    assert equivalent(small, unused)
    assert not equivalent(small, used)
    (reset,) = (m for m in every_mutant(small) if m.kind == "reset value")
    assert not equivalent(small, reset)
