"""The cost equations on a technology of round numbers, worked out by hand: each term, place and product counts once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.unit import KINDS, Path, Unit
from blueprint.workloads.tasks import parse_gemm
from blueprint.workloads.workload import of_gemm
from costmodel.calibration import path_fit
from costmodel.model import estimate, evaluate, features, glitches
from costmodel.model.work import Asked
from costmodel.technology import technology
from costmodel.technology.sram import Law, Organization, Sram
from costmodel.technology.technology import Technology
from costmodel.words import GATED, RECIPES
from tests.costmodel.built import Parts
from tests.costmodel.gated import gated

REGISTER = {"width": 8, "enable": 1, "reset": 0}
UNITS = (
    Unit("register", "a", 3, REGISTER, 0.5),
    Unit("adder", "a", 2, {"width": 10}, 0.25),
    Unit("mux", "b", 4, {"entries": 8, "width": 3}),
    Unit("sram", "memory", 2, {"words": 64, "width": 16}, 0.5),
)
AREA = {
    "a": {"register": {"width": 2.0, "enable": 1.0, "reset": 7.0}, "adder": {"width": 3.0, "one": 5.0}},
    "any": {"mux": {"bits": 0.5, "width": 4.0, "entries": 1.0}, "adder": {"width": 100.0}},
}
ENERGY = {
    "any": {
        "register": {"clock": 0.125, "width": 0.25},
        "adder": {"width": 1.0},
        "mux": {"levels": 2.0, "width": 1.0},
    }
}
DELAY = {
    "any": {
        "adder": {"width": 2.0, "one": 10.0},
        "mux": {"levels": 7.0},
        "compressor": {"one": 4.0},
        "broadcast": {"levels": 3.0},
    },
    "b": {"mux": {"levels": 9.0}},
}
LAWS = {
    "area": Law({"fixed": 100.0, "bits": 0.5, "words": 2.0, "width": 3.0}, "um2", "hand"),
    "access_time": Law({"fixed": 50.0, "words": 1.0, "width": 0.5}, "ps", "hand"),
    "read_energy": Law({"fixed": 1.0, "bits": 0.001, "words": 0.25, "width": 0.125}, "pJ", "hand"),
    "write_energy": Law({"fixed": 2.0}, "pJ", "hand"),
    "leakage": Law({"bits": 0.25}, "nW", "hand"),
}
SRAM = Sram(LAWS, LAWS)
MEMORY_AREA = 100 + 0.5 * 64 * 16 + 2 * 64 + 3 * 16
MEMORY_PS = 50 + 64 + 0.5 * 16
READ_PJ = 1 + 0.001 * 64 * 16 + 0.25 * 64 + 0.125 * 16
MEMORY_PJ = READ_PJ + 2


@pytest.fixture
def tech() -> Technology:
    model: dict[str, Any] = {
        "area": {"value": AREA},
        "energy": {"value": ENERGY},
        "delay": {"value": DELAY, "start": 40.0},
        "leakage": {"value": 0.5},
    }
    return dataclasses.replace(technology.load("asap7"), sram=SRAM, model=model)


def test_area_of_every_place(tech: Technology) -> None:
    assert estimate.area(UNITS, tech) == {
        "a": 3 * (8 * 2 + 8 * 1) + 2 * ((10 - 2) * 3 + 5),
        "b": 4 * (8 * 3 * 0.5 + 3 * 4 + 8 * 1),
        "memory": 2 * MEMORY_AREA,
    }


def test_energy_of_every_place_clocks_apart(tech: Technology) -> None:
    assert estimate.energies_by_place(UNITS, tech) == {
        "a": (3 * 8 * 0.125, 0.5 * 3 * 8 * 0.25 + 0.25 * 2 * 10),
        "b": (0.0, 4 * (3 * 3 * 2 + 3)),
        "memory": (0.0, 0.5 * 2 * MEMORY_PJ),
    }
    clocks, moved = estimate.energy_parts(UNITS, tech)
    assert clocks == 3.0 and moved == 3 + 5 + 84 + MEMORY_PJ
    assert sum(map(sum, estimate.energies_by_place(UNITS, tech).values())) == clocks + moved


@pytest.mark.parametrize("stated", RECIPES)
def test_clock_pins_behind_a_gate_count_with_the_work(tech: Technology, stated: str) -> None:
    """Of 24 bits with an enable and 8 without, the gates open in half of the cycles of full throughput."""
    units = (UNITS[0], Unit("register", "a", 1, {"width": 8, "enable": 0, "reset": 0}))
    energy = {"any": {"register": {"clock": 0.125, "gate": 2.0, "width": 0.25}}}
    area = {"source": f"3 random designs, recipe {stated}"}
    found = tech.with_model(tech.model | {"energy": {"value": energy}, "area": area})
    data = (0.5 * 24 + 8) * 0.25
    expected = (8 * 0.125 + 3 * 2.0, 0.5 * 24 * 0.125 + data) if stated == GATED else (32 * 0.125, data)
    assert estimate.energies_by_place(units, found) == {"a": expected}
    terms = [(term.name, term.amount) for term in estimate.energy_terms(units[:1], found) if term.amount]
    assert (estimate.OPENED in dict(terms)) == (stated == GATED)
    assert sum(amount for _, amount in terms) + 8 * 0.125 + 8 * 0.25 == sum(expected)


def test_leakage_of_memories_is_that_of_their_law(tech: Technology) -> None:
    places = estimate.area(UNITS, tech)
    assert estimate.leakage(UNITS, tech) == 0.5 * (places["a"] + places["b"]) + 2 * 256
    assert estimate.leakage_by_place(UNITS, tech)["memory"] == 2 * 256


def test_delay_is_start_and_steps_with_one_ripple(tech: Technology) -> None:
    wide, narrow = Unit("adder", "x", 1, {"width": 12}), Unit("adder", "x", 2, {"width": 5})
    mux, here = (
        Unit("mux", "x", 1, {"entries": 8, "width": 3}),
        Unit("mux", "b", 1, {"entries": 4, "width": 3}),
    )
    absent = Unit("adder", "x", 0, {"width": 90})
    memory = Unit("sram", "memory", 1, {"words": 64, "width": 16})
    chain = Path("chain", (wide, narrow, mux, here, absent))
    assert estimate.steps(chain, tech) == 3 * 10 + 3 * 7 + 2 * 9 + 12 * 2
    assert estimate.steps(Path("load", (memory, narrow)), tech) == MEMORY_PS + 2 * 10 + 5 * 2
    assert estimate.delay(Parts((chain, Path("load", (memory,)))), tech) == 40 + MEMORY_PS
    assert estimate.delay(Parts(), tech) == 40


def test_path_terms_are_what_the_model_multiplies(tech: Technology) -> None:
    steps = (
        Unit("adder", "x", 2, {"width": 5}),
        Unit("adder", "y", 1, {"width": 9}),
        Unit("mux", "x", 3, {"entries": 8, "width": 2}),
    )
    found = path_fit.path_terms(Path("p", (*steps, Unit("mux", "x", 0, {"entries": 64, "width": 2}))))
    assert found == {
        ("any", "start", "start"): 1.0,
        ("x", "adder", "one"): 2.0,
        ("x", "adder", "each"): 10.0,
        ("y", "adder", "one"): 1.0,
        ("y", "adder", "each"): 9.0,
        ("x", "mux", "levels"): 9.0,
        ("any", "adder", "width"): 9.0,
    }
    assert path_fit._memory_ps(Path("m", (UNITS[3], *steps)), SRAM) == 2 * MEMORY_PS


def test_estimate_of_a_design_multiplies_runs_and_cycles(tech: Technology) -> None:
    spec = registry.get("ternary_lut").from_mapping(
        {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 256, "n_max": 64}
    )
    known = technology.load("asap7")
    alone = evaluate.of_design(spec, known)
    clocks, moved = (float(part) for part in estimate.energy_parts(spec.units(), known))
    more = sum(float(energy) for energy in glitches.energies(spec, known).values())
    assert more > 0
    moved += more
    path = float(estimate.delay(spec, known))
    leaked = float(estimate.leakage(spec.units(), known)) * path * 1e-9  # pJ in a cycle: nW times ps
    assert leaked > 0
    assert alone.energy_pj == pytest.approx(clocks + moved + leaked, rel=1e-9)
    assert sum(alone.cycle_energy_breakdown_pj.values()) == pytest.approx(clocks + moved + leaked, rel=1e-9)
    assert (alone.critical_path_ps, alone.clock_mhz) == pytest.approx((path, 1e6 / path))
    assert alone.leakage_nw == pytest.approx(float(estimate.leakage(spec.units(), known)))
    assert alone.peak_macs == 4 * 4 * 2
    asked = Asked(of_gemm(parse_gemm("2x256x64")))
    estimator = evaluate.Estimator.of(type(spec), evaluate.TechnologyCosts(known), asked)
    found = estimator.row(spec)
    cycles = int(spec.cycles(parse_gemm("2x256x64")))
    assert (found["cycles"], estimator.work.macs) == (cycles, 2 * 256 * 64)
    assert found["utilization"] == pytest.approx(2 * 256 * 64 / (cycles * 32))
    energy = (clocks + leaked) * cycles + moved * 2 * 256 * 64 / 32
    assert 2 * found["core_energy_pj_per_row"] == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize(
    ("family", "parameters", "shape", "taken"),
    [
        (
            "ternary_lut", {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 256, "n_max": 64},
            (3, 250, 63), 3 * 32 * 16,
        ),
        (
            "systolic",
            {
                "organization": "broadcast_matrix", "pe": "booth_serial", "rows": 2, "cols": 4, "act_width": 7,
                "weight_width": 6,
                "k_max": 256, "n_max": 64,
            },
            (3, 25, 5), 2 * 2 * 25 * 4,
        ),
        (
            "systolic",
            {
                "organization": "weight_stationary", "pe": "ternary", "rows": 4, "cols": 4, "act_width": 8,
                "weight_width": 2,
                "k_max": 256, "n_max": 64, "token_depth": 8,
            },
            (11, 9, 5), 2 * 2 * 3 * 8,
        ),
    ],
)  # fmt: skip
def test_open_clocks_of_a_run_count_padding_and_digits(
    family: str, parameters: dict[str, Any], shape: tuple[int, int, int], taken: int
) -> None:
    """Operands of ragged edges are taken as whole ones: token groups, tiles and column groups, digits and tokens."""
    spec, known = registry.get(family).from_mapping(parameters), gated()
    task = parse_gemm("x".join(map(str, shape)))
    assert spec.occupied(task) == taken
    cost = glitches.cost(spec, known)
    opened = sum(estimate.gated_by_place(spec.units(), known).values())
    assert cost.gated_pj == opened and cost.gated
    busy, cycles, seconds = (
        task.macs / spec.peak_macs,
        spec.cycles(task),
        spec.cycles(task) / cost.clock_mhz / 1e6,
    )
    expected = cost.clock_pj * cycles + opened * taken
    parts = cost.energy_parts(cycles, estimate.Busy(taken, busy), seconds)
    assert parts["clock"] == pytest.approx(expected)
    assert parts["switching"] == pytest.approx((cost.switching_pj - opened) * busy)
    estimator = evaluate.Estimator.of(type(spec), evaluate.TechnologyCosts(known), Asked(of_gemm(task)))
    assert task.m * estimator.row(spec)["core_energy_pj_per_row"] == pytest.approx(sum(parts.values()))


def test_laws_of_memories_count_every_term() -> None:
    assert SRAM.area_um2(64, 16) == MEMORY_AREA
    assert SRAM.access_ps(64, 16) == MEMORY_PS
    assert (SRAM.read_pj(64, 16), SRAM.write_pj(64, 16)) == (READ_PJ, 2)
    assert SRAM.leakage_nw(64, 16) == 256
    assert np.array_equal(SRAM.area_um2(np.array([64, 1]), 16), [MEMORY_AREA, 100 + 8 + 2 + 48])


def test_words_fold_into_rows_and_wide_words_into_macros_side_by_side() -> None:
    folding = Organization(4, 2, 8, 10)
    assert [tuple(map(float, folding.folded(words))) for words in (4, 32, 33, 64, 100)] == [
        (2, 4), (8, 4), (5, 8), (8, 8), (7, 16)
    ]  # fmt: skip
    area = Law({"fixed": 10.0, "bits": 1.0, "rows": 100.0}, "um2", "hand")
    time = Law({"fixed": 5.0, "width": 1.0}, "ps", "hand")
    laws = {**LAWS, "area": area, "access_time": time}
    sram = Sram(laws, laws, None, folding)
    assert sram.area_um2(32, 8) == 10 + 32 * 8 + 800
    assert sram.area_um2(32, 20) == 2 * (10 + 32 * 10 + 800)
    assert sram.access_ps(32, 20) == 5 + 10
    assert np.array_equal(sram.area_um2(np.array([32, 33]), 8), [10 + 256 + 800, 10 + 5 * 8 * 8 + 500])


def test_small_memory_is_the_cheaper_of_macro_and_latches() -> None:
    latches = {name: Law({"bits": 2.0}, law.unit, "hand") for name, law in LAWS.items()}
    sram = Sram(LAWS, LAWS, latches)
    assert (sram.kind(8, 4), sram.area_um2(8, 4), sram.write_pj(8, 4)) == ("latch_array", 64, 64)
    assert (sram.kind(64, 16), sram.area_um2(64, 16)) == ("two_port", MEMORY_AREA)
    assert list(sram.is_latches(np.array([8, 64]), np.array([4, 16]))) == [True, False]
    free = {name: Law({}, law.unit, "hand") for name, law in LAWS.items()}
    assert [Sram(LAWS, LAWS, free).kind(words, 16) for words in (256, 257)] == ["latch_array", "two_port"]


#: Sizes by dimension for the terms below: distinct, so that none can stand for another.
SIZES = {
    "width": 6, "enable": 1, "reset": 1, "entries": 8, "inputs": 4, "outputs": 16, "digits": 5,
    "exponent": 5, "fraction": 13, "stages": 2, "gates": 32, "fanout": 64, "words": 128,
}  # fmt: skip
FLOAT = {"shift": 16 * 4.0, "fraction": 13, "exponent": 5, "one": 1, "joined": 3 * 18}
PRODUCT = {"square": 169, "shift": 13 * np.log2(13), "exponent": 5, "one": 1}
TERMS: dict[str, dict[str, dict[str, float]]] = {
    "area": {
        "register": {"width": 6, "enable": 6, "reset": 6, "gate": 1}, "adder": {"width": 4, "one": 1},
        "sign_adder": {"width": 6},
        "compressor": {"width": 6}, "half_adder": {"width": 6}, "mux": {"bits": 48, "width": 6, "entries": 8},
        "select": {"bits": 48}, "decoder": {"outputs": 16, "one": 1}, "xor_row": {"width": 6}, "and_row": {"width": 6},
        "recoder": {"cross": 64, "outputs": 16}, "comparator": {"width": 6}, "counter": {"width": 6},
        "digit_encoder": {"digits": 5}, "digit_select": {"width": 6}, "float_multiplier": PRODUCT, "float_adder": FLOAT,
        "float_pair": FLOAT, "to_fixed": {"shift": 64, "inputs": 4}, "to_float": {"shift": 8, "outputs": 16},
        "logic": {"gates": 32}, "broadcast": {}, "sram": {}, "sram_1rw": {},
    },
    "energy": {
        "register": {"clock": 6, "gate": 1, "width": 6}, "adder": {"width": 6}, "mux": {"levels": 18, "width": 6},
        "select": {"bits": 48, "levels": 18, "width": 6}, "decoder": {"outputs": 16, "inputs": 4, "one": 1},
        "recoder": {"cross": 64, "outputs": 16}, "broadcast": {"fanout": 64},
    },
    "delay": {
        "register": {}, "adder": {"width": 6, "one": 1, "each": 6}, "sign_adder": {},
        "compressor": {"one": 1, "width": 6},
        "half_adder": {"width": 6}, "mux": {"levels": 3}, "select": {"levels": 3, "one": 1}, "decoder": {"levels": 4},
        "xor_row": {"one": 1}, "and_row": {"one": 1}, "recoder": {"inputs": 4}, "counter": {"width": 6},
        "digit_encoder": {"one": 1}, "digit_select": {"one": 1}, "float_multiplier": {"fraction": 13, "one": 1},
        "float_adder": {"fraction": 13, "one": 1}, "float_pair": {"fraction": 13, "one": 1},
        "to_fixed": {"one": 1, "outputs": 16}, "to_float": {"inputs": 4, "outputs": 16},
        "comparator": {"levels": np.log2(6)}, "logic": {"levels": 5},
        "broadcast": {"levels": 6}, "sram": {}, "sram_1rw": {},
    },
}  # fmt: skip
TERMS["energy"] = TERMS["area"] | TERMS["energy"]
TABLES = {"area": features.AREA, "energy": features.ENERGY, "delay": features.DELAY}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_terms_of_every_kind_grow_with_what_they_say(table: str, kind: str) -> None:
    dims = {name: SIZES[name] for name in KINDS[kind].dims}
    found = features.terms(Unit(kind, "x", 1, dims), TABLES[table])
    assert {name: float(value) for name, value in found.items()} == pytest.approx(TERMS[table][kind])
    nothing = dict.fromkeys(KINDS[kind].dims, 0)
    assert all(
        float(value) == 0
        for value in features.terms(Unit(kind, "x", 1, nothing), TABLES[table]).values()
        if kind not in _SHIFTED
    )


#: Kinds whose steps per level are counted even for no bits at all.
_SHIFTED = ("float_adder", "float_pair", "decoder", "comparator", "logic", "broadcast", "mux", "select")


def test_rough_gates_are_those_of_textbook_cells() -> None:
    def gates(kind: str, **dims: int) -> float:
        return float(features.rough_gates(Unit(kind, "x", 2, dims)))

    assert gates("register", width=8, enable=1, reset=1) == 2 * (8 * 4 + 8 * 2)
    assert gates("adder", width=10) == 2 * 6 * 8
    assert gates("compressor", width=10) == 2 * 6 * 10
    assert gates("mux", entries=4, width=3) == 2 * 1.5 * 12
    assert gates("logic", gates=7) == 14
    assert gates("sram", words=64, width=8) == 0
