"""The parameters of the systolic family: what is refused, what is derived, what is computed, how long it takes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import Element
from blueprint.arithmetic.processing.cascade import has_product, plans
from blueprint.arithmetic.processing.columns import Plan
from blueprint.arithmetic.processing.element import merge_rows, operand_rows
from blueprint.arithmetic.sparsity import Pattern, is_sparse
from blueprint.errors import ParamError
from blueprint.families.systolic import SystolicSpec, elements
from blueprint.families.systolic.parameters import SystolicParameters
from blueprint.families.systolic.sparsity import densely
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import Gemm
from simulator.engine import kernel
from simulator.simulate import simulate

GOOD: dict[str, Any] = {
    "organization": "output_stationary", "pe": "mac", "rows": 4, "cols": 4, "act_width": 8, "weight_width": 8,
    "k_max": 256, "n_max": 64, "m_max": 64,
}  # fmt: skip


def spec(**changes: Any) -> SystolicSpec:
    return SystolicSpec(**GOOD | changes)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("rows", {"rows": 0}, "Parameter 'rows' must be an integer from 1 to 256, not 0"),
    (
        "organization",
        {"organization": "output_stationry"},
        "Parameter 'organization' must be one of weight_stationary, output_stationary, cube, adder_tree, "
        "broadcast_matrix, not 'output_stationry'; did you mean 'output_stationary'?",
    ),
    (
        "acc_width",
        {"acc_width": 20},
        "Accumulator width 20 cannot hold 256 products of 8 by 8 bits; use at least 24",
    ),
    ("activation", {"activation": "fp16"}, "Element mac must have int numbers, not fp16"),
    (
        "act_width",
        {"pe": "ternary", "weight_width": 2, "activation": "bf16"},
        "Parameter 'act_width' must be 16 for bf16, not 8",
    ),
    (
        "weight_width",
        {"pe": "ternary", "weight_width": 8, "activation": "fp8_e4m3"},
        "Weights of ternary elements must have 2 bits, not 8",
    ),
    ("activation", {"pe": "float"}, "Element float must have float numbers, not int"),
    (
        "act_width",
        {"pe": "float", "activation": "bf16"},
        "Parameter 'act_width' must be 16 for bf16, not 8",
    ),
    ("weight_width", {"pe": "ternary"}, "Weights of ternary elements must have 2 bits, not 8"),
    ("rows", {"organization": "adder_tree"}, "An adder tree must have 1 row, not 4"),
    (
        "dot_length",
        {"organization": "broadcast_matrix", "dot_length": 2},
        "A broadcast matrix must have dot_length 1, not 2; a deeper one is a cube",
    ),
    (
        "dot_length",
        {"sparsity": "2:4"},
        "Parameter 'dot_length' must be a multiple of 2 for 2:4 weights, not 1",
    ),
    (
        "dot_length",
        {"pe": "opt4e", "dot_length": 2},
        "Parameter 'dot_length' must be a multiple of 4 for opt4e, not 2",
    ),
    (
        "dot_length",
        {"pe": "booth_flex", "dot_length": 2},
        "Element booth_flex must have dot_length 1 and dense weights, not 2 and dense",
    ),
    (
        "weight_width",
        {"pe": "booth_flex", "weight_width": 5},
        "Parameter 'weight_width' must be even and at least 4 for booth_flex, not 5",
    ),
    (
        "pe",
        {"organization": "weight_stationary", "pe": "opt4c"},
        "Element of weight_stationary must be one of mac, ternary, float, opt1, opt2, ent, not opt4c: a beat would "
        "take it several cycles, or its weights change their kind",
    ),
    (
        "pe",
        {"organization": "cube", "pe": "opt3"},
        "Element opt3 must be in an output_stationary array, not in cube: a row's queues would all be equal there, "
        "and one for all of them is opt4c",
    ),
    (
        "product_register",
        {"pe": "opt4c", "product_register": True},
        "Parameter 'product_register' must be false for opt4c: a digit makes no product to register",
    ),
    (
        "product_register",
        {"pe": "opt2", "product_register": True},
        "Parameter 'product_register' must be false for opt2 in an array of 4 rows whose sums stay: the signs of its "
        "digits would be registered in every row alike",
    ),
    (
        "acc_format",
        {"acc_format": "fp16"},
        "Parameter 'acc_format' must be same or a format that holds every int, not fp16",
    ),
]


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED)
def test_what_cannot_be_built_is_refused_in_words(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError) as caught:
        spec(**changes)
    assert str(caught.value) == message
    assert caught.value.parameter == name  # type: ignore[attr-defined]


def passing(**changes: Any) -> SystolicSpec:
    return spec(**{"organization": "weight_stationary", "pe": "opt1"} | changes)


def test_two_words_take_a_cycle_more_than_one() -> None:
    mac = passing(pe="mac")
    for pe in ("opt1", "opt2"):
        assert int(passing(pe=pe).stages) == int(mac.stages) + 1
        assert int(passing(pe=pe).cycles(Gemm(5, 40, 9))) == int(mac.cycles(Gemm(5, 40, 9))) + 1


def test_two_words_are_as_narrow_as_what_rows_hold() -> None:
    """255 x 255 is the largest that two words of one 8 x 8 product stand for: 16 columns, then more."""
    design = passing(rows=16, k_max=4096)
    found = plans(design.cascade.element, 16, False)
    widths = [len(plan.left) for plan in found.rows]
    assert widths == [
        min((255 * 255 * rows).bit_length(), int(design.sum_width(16))) for rows in range(1, 17)
    ]
    bits = [plan.left_bits for plan in found.rows]
    assert all(width < held <= 2 * width for width, held in zip(widths, bits, strict=True))
    assert sum(bits) == int(design.cascade.bits)

    many = plans(passing(rows=128, k_max=4096).cascade.element, 128, False)
    assert len(set(many.rows)) < 32  # rows that are alike are one module


@pytest.mark.parametrize("pe", ["opt1", "opt2"])
@pytest.mark.parametrize("held", [False, True])
def test_a_cascade_adds_up(pe: str, held: bool) -> None:
    """Rows of random bits through the plans: what they stand for is never lost nor counted twice."""
    found = plans(Element(pe, 5, 4, 2, 12), 5, held)
    rows, constant = operand_rows(found.element, True)
    random, total, words = np.random.default_rng(4), 5 * constant, list[int]()
    if has_product(found.element, held):
        rows = merge_rows(found.element, True)[0]
    weights = [low + place for low, width in rows for place in range(width)]
    for plan in found.rows:
        made = random.integers(0, 2, len(weights)) * (np.arange(len(weights)) % 3 > 0)
        total += sum(int(bit) << low for bit, low in zip(made, weights, strict=True))
        words = added(plan, [*made.tolist(), *words])
    assert (sum(added(found.last, words, weighted=True)) - total) % (1 << 12) == 0


def added(plan: Plan, given: list[int], *, weighted: bool = False) -> list[int]:
    """The bits that a plan leaves, each with its weight if wanted."""
    bits = dict(enumerate(given))
    for cell in plan.cells:
        one = cell.kind in ("half_one", "invert", "one")
        value = sum(bits[number] for number in cell.bits) + one
        bits[cell.total], bits[cell.carry] = value & 1, value >> 1
    return [bits[n] << (column if weighted else 0) for column, left in enumerate(plan.left) for n in left]


@pytest.mark.parametrize("changes", [{"pe": "opt1"}, {"pe": "opt2", "organization": "adder_tree", "rows": 1}])
def test_two_words_of_products_may_be_registered(changes: dict[str, Any]) -> None:
    early, late = (spec(**changes, product_register=held) for held in (False, True))
    assert int(late.stages) == int(early.stages) + 1
    kept = flip_flops(late.units()) - flip_flops(early.units())
    flags = 2  # of the cycle more: first and last
    count = int(late.rows * late.cols)
    assert kept - flags - count * int(late.element.product_bits) in (0, 1)
    names = {path.name: path for path in late.paths()}
    halves = [
        sum(u.count for u in names[n].steps if u.kind == "compressor") for n in ("multiply", "accumulate")
    ]
    assert halves[1] > 0
    assert sum(halves) >= sum(u.count for u in {p.name: p for p in early.paths()}["step"].steps
                              if u.kind == "compressor")  # fmt: skip
    assert sum(u.count * u.dims["width"] for u in names["accumulate"].steps if u.kind == "adder") == 0


def test_what_one_design_is_refused_for_many_are_infeasible_for() -> None:
    for _, changes, _ in REFUSED[2:]:
        parameters: dict[str, Any] = {**spec().parameters, **changes}
        table = {name: np.array([value]) for name, value in parameters.items()}
        mask, code, reasons = SystolicSpec.columns(table).feasible()
        assert not mask[0] and reasons[code[0]], changes


def test_a_workload_too_large_is_refused() -> None:
    with pytest.raises(ParamError, match="^Gemm k must be at most k_max 256, not 300$"):
        spec().timing(Gemm(1, 300, 1))


@pytest.mark.parametrize("pe", elements.KINDS)
def test_every_element_has_an_organization(pe: str) -> None:
    drawn = [SystolicSpec.sample(np.random.default_rng([5, number])) for number in range(300)]
    kinds = {design.organization for design in drawn if design.pe == pe}
    assert len(kinds) >= (1 if pe == "opt3" else 3)


def test_widths_follow_the_longest_reduction() -> None:
    assert int(spec().result_width) == 24  # 256 products of up to 2**14
    assert int(spec(sparsity="1:4").result_width) == 22
    assert int(spec(pe="ternary", weight_width=2, k_max=6912).result_width) == 21
    assert int(spec(pe="float", activation="bf16", act_width=16, weight_width=16).result_width) == 16


#: Derived values that are no numbers.
WORDS = ("arithmetic", "element", "cascade", "sum_format", "size_widths", "data_dependent", "name")
FLAGS = (
    "stationary", "skewed", "floats", "carry_save", "passes_words", "serial", "paced", "waits", "encoded", "flexible",
    "selects", "sparse", "holds_products", "in_sram", "accumulates", "holds_sums", "gated", "several_tokens",
    "regroups", "several_columns",
)  # fmt: skip
NUMBERS = tuple(
    name
    for name, member in vars(SystolicParameters).items()
    if isinstance(member, property | cached_property) and name not in WORDS
)


def test_every_derived_number_of_a_design_is_a_python_integer() -> None:
    for number in range(60):
        design = SystolicSpec.sample(np.random.default_rng([10, number]))
        named = {name: getattr(design, name) for name in NUMBERS}
        named |= design.size_widths | {"sum_width": design.sum_width(design.rows)}
        assert {name: value for name, value in named.items() if type(value) is not int} == {}


def test_derived_numbers_of_many_designs_are_those_of_each() -> None:
    drawn = [SystolicSpec.sample(np.random.default_rng([11, number])) for number in range(80)]
    table = {name: np.array([getattr(design, name) for design in drawn]) for name in drawn[0].parameters}
    many = SystolicSpec.columns(table)
    for name in NUMBERS:
        assert getattr(many, name).tolist() == [getattr(design, name) for design in drawn], name


def test_predicates_are_zeros_and_ones_and_both_occur() -> None:
    drawn = [SystolicSpec.sample(np.random.default_rng([11, number])) for number in range(80)]
    for name in FLAGS:
        assert {getattr(design, name) for design in drawn} == {0, 1}, name


def test_no_operand_of_a_rigid_element_is_an_integer_word() -> None:
    large = np.full((4, 4), 5)
    assert spec(pe="booth_flex").takes_integers(large)
    assert not spec(pe="booth_flex").takes_integers(np.ones((4, 4), np.int64))
    assert not spec().takes_integers(large)


# Time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(120))
def test_the_closed_form_is_what_the_simulator_counts(number: int) -> None:
    random = np.random.default_rng([6, number])
    design = SystolicSpec.sample(random)
    workload = design.sample_workload(random)
    operands = design.operands(workload, number)
    assert kernel.run(design.timing(workload, operands)).cycles == design.cycles_of(workload, operands)


def test_a_row_more_is_noticed() -> None:
    workload = Gemm(4, 6, 8)
    assert kernel.run(spec().timing(workload)).cycles != int(spec(rows=5).cycles(workload))


def test_digits_that_are_zero_take_no_time() -> None:
    serial = spec(pe="opt4c", rows=1, organization="adder_tree")
    workload, ones = Gemm(1, 64, 4), np.ones((64, 4), np.int64)
    few = serial.cycles_of(workload, {"act": np.full((1, 64), 4), "wgt": ones})
    many = serial.cycles_of(workload, {"act": np.full((1, 64), 85), "wgt": ones})
    assert few == 64 + 2
    assert many == 4 * 64 + 2


def test_a_flexible_element_takes_ternary_weights_four_at_a_time() -> None:
    flexible = spec(pe="booth_flex")
    workload, act = Gemm(4, 64, 4), np.ones((4, 64), np.int64)
    ternary = flexible.cycles_of(workload, {"act": act, "wgt": np.ones((64, 4), np.int64)})
    whole = flexible.cycles_of(workload, {"act": act, "wgt": np.full((64, 4), 2)})
    assert (ternary, whole) == (16 + 11, 64 + 11)


@pytest.mark.parametrize("organization", ["weight_stationary", "output_stationary"])
@pytest.mark.parametrize("m", [1, 64])
def test_a_large_array_on_a_large_layer_is_simulated_exactly(organization: str, m: int) -> None:
    large = spec(organization=organization, pe="ternary", weight_width=2, rows=128, cols=128, k_max=6912,
                 n_max=6912, token_depth=64)  # fmt: skip
    workload = Gemm(m, 2560, 6912)
    run = simulate(large, workload)
    assert run.cycles == int(large.cycles(workload))
    assert run.cycles == {"weight_stationary": 138498, "output_stationary": 138623}[organization] + (
        126 if organization == "weight_stationary" and m == 64 else 0
    )


@pytest.mark.parametrize("organization", ["weight_stationary", "output_stationary", "cube"])
def test_one_small_block_runs_any_product_at_full_rate(organization: str) -> None:
    """Temporal scaling: hardware is fixed, time grows with the matrix, and a cycle of waiting is an exception."""
    block = spec(organization=organization, k_max=1 << 20, n_max=1 << 20, m_max=1 << 20, token_depth=64,
                 dot_length=2)  # fmt: skip
    flops = flip_flops(block.units())
    for gemm in (Gemm(64, 512, 64), Gemm(64, 2048, 256), Gemm(512, 2048, 512)):
        ideal = gemm.macs / int(block.peak_macs)
        assert ideal < int(block.cycles(gemm)) < 1.02 * ideal + 200
    assert flops == flip_flops(block.units())


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(60))
def test_integers_are_numpy_s(number: int) -> None:
    random = np.random.default_rng([7, number])
    design = SystolicSpec.sample(random)
    if not design.floats:
        operands = design.operands(design.sample_workload(random), number)
        assert np.array_equal(design.reference(operands)["out"], operands["act"] @ operands["wgt"])


def test_floats_are_added_in_the_stated_order() -> None:
    fmt = floating.get("bf16")
    common: dict[str, Any] = {
        "pe": "float",
        "activation": "bf16",
        "act_width": 16,
        "weight_width": 16,
        "dot_length": 2,
    }
    rows = spec(organization="weight_stationary", rows=3, **common)
    sums = spec(organization="cube", **common)
    operands = sums.operands(Gemm(2, 11, 3), 4)
    padded = {
        "act": np.pad(operands["act"], ((0, 0), (0, 1))),
        "wgt": np.pad(operands["wgt"], ((0, 1), (0, 0))),
    }

    def word(m: int, n: int, k: int) -> Any:
        one, other = (
            floating.multiply(fmt, padded["act"][m, k + i], padded["wgt"][k + i, n]) for i in range(2)
        )
        return floating.add(fmt, one, other)

    for m in range(2):
        for n in range(3):
            down: Any = np.int64(0)
            for k in range(0, 12, 2):
                down = floating.add(fmt, down, word(m, n, k))
            assert sums.reference(operands)["out"][m, n] == down
            tiles: Any = np.int64(0)
            for tile in (0, 6):
                partial = word(m, n, tile)
                for k in (tile + 2, tile + 4):
                    partial = floating.add(fmt, partial, word(m, n, k))
                tiles = floating.add(fmt, tiles, partial)
            assert rows.reference(operands)["out"][m, n] == tiles


def ternary_floats(**changes: Any) -> SystolicSpec:
    return spec(
        **{"pe": "ternary", "weight_width": 2, "activation": "fp8_e4m3", "acc_format": "bf16"} | changes
    )


def test_selected_floats_are_added_in_the_stated_order() -> None:
    """Rows first to last, each row's lanes pairwise; a weight of zero adds +0."""
    fmt, source = floating.get("bf16"), floating.get("fp8_e4m3")
    rows = ternary_floats(organization="weight_stationary", rows=3, dot_length=1)
    sums = ternary_floats(organization="cube", dot_length=3)
    operands = sums.operands(Gemm(2, 9, 3), 3)
    wide = floating.convert(source, fmt, operands["act"])

    def lane(m: int, n: int, k: int) -> Any:
        weight = operands["wgt"][k, n]
        return np.int64(0) if weight == 0 else wide[m, k] ^ (0x8000 if weight < 0 else 0)

    def add(*words: Any) -> Any:
        return words[0] if len(words) == 1 else floating.add(fmt, add(*words[:-1]), words[-1])

    for m in range(2):
        for n in range(3):
            lanes = [[lane(m, n, k + i) for i in range(3)] for k in (0, 3, 6)]
            assert rows.reference(operands)["out"][m, n] == add(np.int64(0), *(add(*row) for row in lanes))
            # Neighbors first, the odd one waits: with three lanes that is one after the other, too.
            assert sums.reference(operands)["out"][m, n] == add(np.int64(0), *(add(*row) for row in lanes))


def test_a_weight_of_zero_keeps_an_infinity_out() -> None:
    design = ternary_floats(activation="fp16", act_width=16, acc_format="same", dot_length=2)
    act, wgt = np.array([[0x7C00, 0xBC00]]), np.array([[0, 1], [-1, 1]])
    assert design.reference({"act": act, "wgt": wgt})["out"].tolist() == [[0x3C00, 0x7C00]]


def test_a_single_selected_float_moves_as_narrow_as_it_came() -> None:
    narrow = ternary_floats(organization="weight_stationary", rows=2)
    assert [int(narrow.sum_width(row)) for row in (1, 2)] == [8, 16]
    assert [int(ternary_floats(dot_length=2).sum_width(row)) for row in (1, 2)] == [16, 16]
    assert bool(ternary_floats(k_max=1).accumulates)  # a result is always a rounded sum
    assert not bool(ternary_floats(k_max=2, dot_length=2).accumulates)


def test_ternary_floats_are_drawn_in_every_organization() -> None:
    drawn = [SystolicSpec.sample(np.random.default_rng([9, number])) for number in range(400)]
    chosen = [design for design in drawn if design.pe == "ternary" and design.floats]
    assert len({design.organization for design in chosen}) == 5
    assert {design.arithmetic for design in chosen} == {"float"}
    assert len(chosen) >= 30


def test_stimulus_and_collection_are_shaped_like_the_streams() -> None:
    for number in range(40):
        random = np.random.default_rng([8, number])
        design = SystolicSpec.sample(random)
        workload = design.sample_workload(random)
        operands = design.operands(workload, number)
        beats = {node.stream: node.firings for node in design.timing(workload, operands).nodes if node.stream}
        for name, sent in design.stimulus(operands).items():
            assert len(sent) == beats[name]


def test_weights_of_sparse_arrays_are_sparse() -> None:
    sparse = spec(sparsity="2:8", dot_length=2)
    assert is_sparse(sparse.operands(Gemm(1, 64, 16), 0)["wgt"], Pattern(2, 8))


def test_weights_that_are_not_sparse_are_refused() -> None:
    with pytest.raises(ParamError, match="^Weights must be 1:4 sparse, not have groups with 4 non-zeros$"):
        spec(sparsity="1:4").stimulus({"act": np.ones((1, 4), np.int64), "wgt": np.ones((4, 1), np.int64)})


@pytest.mark.parametrize("pattern", ["1:2", "1:4", "2:4", "2:8"])
def test_a_dense_matrix_runs_on_a_sparse_array(pattern: str) -> None:
    sparse = spec(sparsity=pattern, dot_length=2, k_max=1024)
    random = np.random.default_rng(9)
    act, wgt = random.integers(-128, 128, (3, 37)), random.integers(-128, 128, (37, 5))
    again, spread = densely(act, wgt, int(sparse.kept), int(sparse.group))
    assert is_sparse(spread, Pattern(int(sparse.kept), int(sparse.group)))
    assert np.array_equal(sparse.reference({"act": again, "wgt": spread})["out"], act @ wgt)
    assert again.shape[1] == -(-37 // int(sparse.group)) * int(sparse.group) ** 2 // int(sparse.kept)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"pe": "mac"}, 1),
        ({"pe": "booth_serial"}, 4),
        ({"pe": "booth_serial", "rows": 1}, 4),
        ({"pe": "opt3"}, 4),
        ({"pe": "opt3", "rows": 1}, 3),
        ({"pe": "opt4c", "rows": 1, "act_width": 2}, 1),
    ],
)
def test_beats_of_serial_elements_take_their_expected_digits(changes: dict[str, Any], steps: int) -> None:
    one, more = (spec(**changes).cycles(Gemm(m=4, k=64 * times, n=4)) for times in (1, 2))
    assert more - one == 64 * steps * (4 // spec(**changes).rows)


@pytest.mark.parametrize(
    ("changes", "signed", "number"),
    [
        ({"pe": "mac"}, True, "int"),
        ({"pe": "ternary", "activation": "fp16", "act_width": 16, "weight_width": 2}, True, "int"),
        ({"pe": "float", "activation": "fp16", "act_width": 16, "weight_width": 16}, False, "fp16"),
    ],
)
def test_the_value_of_a_sparse_weight_has_the_format_of_its_element(
    changes: dict[str, Any], signed: bool, number: str
) -> None:
    found = spec(organization="adder_tree", rows=1, dot_length=2, sparsity="2:4", **changes)
    [weights] = [stream for stream in found.streams() if stream.name == "wgt"]
    [value] = [part for field in weights.beat for part in field.parts if part.name == "value"]
    assert (value.signed, value.format) == (signed, number)
