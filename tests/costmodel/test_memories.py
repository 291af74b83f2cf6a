"""Laws of memories: fitted to macros that obey one, checked on macros left out, scaled where nothing is stated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import SpecError
from costmodel.technology import importing, liberty, macros, memories, sram_fit, technology
from costmodel.technology.macros import SINGLE, TWO, Macro
from tests.costmodel import tiny

SHAPES = ((256, 8), (256, 32), (512, 16), (1024, 8), (1024, 32), (2048, 16), (4096, 16), (8192, 32))
SHIPPED = ("asap7", "ihp_sg13g2", "sky130hd")


def macro(words: int, width: int, ports: str = "1rw", **numbers: float) -> Macro:
    """A macro of a compiler with 4 columns a bit and at most 512 rows."""
    columns = 4
    while words > 512 * columns:
        columns *= 2
    rows, factor = words // columns, 1.0 if ports == "1rw" else 2.0
    found: dict[str, float] = {
        "area_um2": factor * (3 * words * width + 500 * width + 70 * rows + 9000),
        "access_ps": 2500 + 5 * rows + 6 * width,
        "read_pj": 0.001 * words * width + 0.5 * width + 0.3 * rows**0.5,
        "write_pj": 0.002 * words * width + 0.7 * width + 0.4 * rows**0.5,
        "leakage_nw": 0.01 * words * width,
    }
    rounded = {name: float(f"{value:.6g}") for name, value in {**found, **numbers}.items()}
    return Macro(f"m{words}x{width}", ports, words, width, 0, **rounded)


def errors(facts: Any, quantity: str) -> list[float]:
    """Relative errors of macros left out one by one."""
    found = []
    for out in facts:
        sram = sram_fit.fit([fact for fact in facts if fact is not out], "test")
        price = {"area_um2": sram.area_um2, "access_ps": sram.access_ps, "read_pj": sram.read_pj}[quantity]
        found.append(float(price(out.words, out.width, out.kind)) / getattr(out, quantity) - 1)
    return found


@pytest.mark.parametrize("quantity", ["area_um2", "access_ps", "read_pj"])
def test_law_tells_macros_that_it_has_not_seen(quantity: str) -> None:
    facts = [macro(*shape) for shape in SHAPES]
    assert max(map(abs, errors(facts, quantity))) < 0.02


def test_stated_error_is_that_of_macros_left_out() -> None:
    facts = [macro(*shape) for shape in SHAPES[:-1]] + [macro(8192, 32, area_um2=2e6)]
    law = sram_fit.fit(facts, "test").single_port["area"]
    assert law.left_out == pytest.approx(max(map(abs, errors(facts, "area_um2"))), rel=0.1)
    assert law.left_out > 0.2 > law.error / 3


def test_a_macro_unlike_all_others_does_not_bend_their_law() -> None:
    odd = macro(512, 16, access_ps=9000.0)
    sram = sram_fit.fit([macro(*shape) for shape in SHAPES if shape != (512, 16)] + [odd], "test")
    told = [float(sram.access_ps(*shape, SINGLE)) / macro(*shape).access_ps - 1 for shape in SHAPES]
    assert max(map(abs, told)) < 0.06


def test_two_kinds_of_ports_have_laws_of_their_own() -> None:
    facts = [macro(*shape) for shape in SHAPES] + [macro(*shape, "2rw") for shape in SHAPES[:4]]
    sram = sram_fit.fit(facts, "test")
    assert sram.area_um2(1024, 16, TWO) / sram.area_um2(1024, 16, SINGLE) == pytest.approx(2, rel=0.02)
    assert sram.area_um2(1024, 16) == sram.area_um2(1024, 16, TWO)
    assert sram.access_ps(1024, 16, TWO) == pytest.approx(sram.access_ps(1024, 16, SINGLE), rel=0.02)
    assert memories.port_ratio(sram, "area") == pytest.approx(2, rel=0.02)


def test_one_energy_whatever_the_size_is_a_placeholder() -> None:
    facts = [replace(macro(*shape), read_pj=2.69, write_pj=2.69) for shape in SHAPES]
    assert sram_fit.stated(facts, "read_energy") == []
    assert sram_fit.fit(facts, "test").single_port["read_energy"].coefficients == {}
    assert len(sram_fit.stated(facts[:2], "read_energy")) == 2


def test_facts_read_back_as_written_and_a_bad_line_is_refused() -> None:
    facts = (macro(256, 8), macro(512, 16, "1rw1r", leakage_nw=0.0))
    assert macros.load(macros.dump(facts)) == facts
    assert " -\n" in macros.dump(facts)
    with pytest.raises(
        ValueError, match="^a macro must have a name, ports and 8 numbers, not 'm 1rw 256 8 0 x'$"
    ):
        macros.load("m 1rw 256 8 0 x")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_laws_tell_their_macros(name: str) -> None:
    """Area to a tenth; time and energy of ihp's macros, which one compiler folds in several ways, to a seventh."""
    sram = technology.load(name).sram
    for fact in sram.macros:
        if fact.words * fact.width < 4096:
            continue
        shape = (fact.words, fact.width, fact.kind)
        assert float(sram.area_um2(*shape)) == pytest.approx(fact.area_um2, rel=0.1), fact.name
        assert float(sram.access_ps(*shape)) == pytest.approx(fact.access_ps, rel=0.14), fact.name
        if name != "asap7":
            assert float(sram.read_pj(*shape)) == pytest.approx(fact.read_pj, rel=0.14), fact.name
            assert float(sram.write_pj(*shape)) == pytest.approx(fact.write_pj, rel=0.14), fact.name


def test_two_port_memories_of_ihp_are_not_priced_as_single_port_ones() -> None:
    sram = technology.load("ihp_sg13g2").sram
    assert {fact.kind for fact in sram.macros} == {SINGLE, TWO}
    assert 1.7 < float(sram.area_um2(1024, 16, TWO) / sram.area_um2(1024, 16, SINGLE)) < 2.1
    assert sram.two_port["area"].left_out is not None and sram.two_port["area"].left_out < 0.1


def test_width_is_not_free_in_asap7_and_says_what_it_is_scaled_from() -> None:
    sram = technology.load("asap7").sram
    assert float(sram.read_pj(256, 64)) > 3 * float(sram.read_pj(256, 16))
    assert sram.single_port["read_energy"].source.startswith(
        "scaled: the macros state one energy whatever their size, so that of ihp_sg13g2 times (0.7 V / 1.2 V)^2"
    )
    assert sram.two_port["area"].source.startswith("scaled: no two-port macro, so 1.93 times")


def test_library_without_macros_has_arrays_of_its_latches(tmp_path: Path) -> None:
    found = importing.technology([tiny.write(tmp_path)], "tiny").sram
    assert found.two_port["area"].source.startswith(
        "assumed: no memory macro among the files, so memories are arrays of latches; library: a latch array of "
    )
    assert found.latch_array is None and found.area_um2(64, 8) > found.area_um2(32, 8) > 0
    assert found.read_pj(64, 8) >= 0 and found.macros == ()


def test_memory_of_an_earlier_file_is_read_as_it_was(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "bad_input" / "technology_negative_sram.yaml").read_text()
    path = tmp_path / "old.yaml"
    path.write_text(text.replace("bits: -0.1", "bits: 0.25"))
    sram = technology.load(path).sram
    assert (sram.area_um2(64, 8), sram.read_pj(64, 8), sram.write_pj(64, 8)) == (128, 0.08, 0.08)
    assert sram.kind(4, 4) == "two_port"


def test_macro_facts_in_a_file_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    text = importing.dump(technology.load("asap7"))
    path.write_text(text.replace("fakeram7_128x64 1rw 128", "fakeram7_128x64 1rw many"))
    with pytest.raises(
        SpecError, match=r"made\.yaml:\d+:\d+: sram\.macros\.facts: macros\.facts: a macro must have"
    ):
        technology.load(path)


MACRO = """cell (ram) { area : 9; memory () { address_width : 4; word_width : 8; }
  bus (d0) { bus_type : word; direction : input; memory_write () { address : a0; clocked_on : clk0; } }
  bus (q0) { bus_type : word; direction : output; memory_read () { address : a0; } %s }
  bus (q1) { bus_type : word; direction : output; memory_read () { address : a1; } }
  bus (t_bist) { bus_type : word; direction : input; memory_write () { address : a_bist; clocked_on : c; } }
  bus (wmask0) { bus_type : mask; direction : input; }
  pin (clk0) { direction : input; clock : true; %s } } }"""
ARC = 'timing () { related_pin : "clk0"; timing_type : rising_edge; cell_rise (scalar) { values ("2"); } }'


def power(**states: tuple[str, float]) -> str:
    return " ".join(
        f'internal_power () {{ when : "{when}"; rise_power (scalar) {{ values ("{pj}"); }} }}'
        for when, pj in states.values()
    )


def ram(tmp_path: Path, **states: tuple[str, float]) -> Macro:
    """The macro of a library with ports 1rw1r and a byte mask, whose clock takes these energies."""
    types = "type (word) { bit_width : 8; } type (mask) { bit_width : 2; } "
    path = tmp_path / "ram.lib"
    path.write_text(tiny.HEAD + types + MACRO % (ARC, power(**states)))
    return macros.read(liberty.parse(path).cells.values())[0]


def test_ports_and_masks_are_found_and_ports_of_tests_are_not(tmp_path: Path) -> None:
    found = ram(tmp_path, any=("en", 4.0))
    assert (found.ports, found.words, found.width, found.mask, found.kind) == ("1rw1r", 16, 8, 2, TWO)
    assert found.access_ps == 2000 and found.read_pj == found.write_pj > 0


@pytest.mark.parametrize(
    "states",
    [
        {"read": ("!csb & web", 3.0), "write": ("!csb & !web", 5.0)},
        {"read": ("en & !we", 3.0), "write": ("en & we", 5.0)},
        {
            "read": ("men & !wen & ren", 3.0), "write": ("men & wen & !ren", 5.0),
            "both": ("men & wen & ren", 6.0), "none": ("men & !wen & !ren", 0.1),
        },
        {
            "read": ("wen & !ren", 3.0), "write": ("!wen & ren", 5.0),
            "both": ("!wen & !ren", 6.0), "none": ("wen & ren", 0.1),
        },
    ],
    ids=["active_low", "active_high", "two_enables", "two_enables_low"],
)  # fmt: skip
def test_reads_and_writes_are_told_apart_by_the_enables(
    tmp_path: Path, states: dict[str, tuple[str, float]]
) -> None:
    found = ram(tmp_path, **states)
    assert found.write_pj / found.read_pj == pytest.approx(5 / 3, rel=1e-4)


def test_laws_take_arrays_of_designs() -> None:
    sram = technology.load("ihp_sg13g2").sram
    words, width = np.array([16, 256, 8192]), np.array([8, 100, 32])
    for price in (sram.area_um2, sram.access_ps, sram.read_pj, sram.write_pj, sram.leakage_nw):
        one = [float(price(int(w), int(b))) for w, b in zip(words, width, strict=True)]
        assert price(words, width) == pytest.approx(one)
