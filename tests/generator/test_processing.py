"""The RTL of processing elements against what they stand for: every pair of 8 bits, random ones of other widths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating, processing
from blueprint.arithmetic.processing import Element, digits, wrap
from blueprint.arithmetic.processing.element import sum_format
from blueprint.errors import ParamError
from blueprint.unit import flip_flops
from generator.arithmetic.processing import (
    Accumulate,
    ActivationSelect,
    DigitEncode,
    DigitQueue,
    Merge,
    Product,
    Resolve,
    Step,
)
from generator.arithmetic.processing.step import operand_ports
from generator.block import Block
from generator.emission import emit
from tests.float_operands import pairs
from tests.generator import linter
from tests.generator.vectors import Bench, drive
from tests.volume import some
from toolchain import yosys

Array = Any


class Whole(Block):
    """An element twice: as one block, and in two halves with a register between; both sums resolved."""

    place = "test"

    def __init__(self, element: Element) -> None:
        self.element = element
        sums = {"total": Out(element.total_bits), "halves": Out(element.total_bits)}
        ports = operand_ports(element) | {"first": In(1), "enable": In(1)} | sums
        super().__init__(f"whole_{Step(element).module_name}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, element = self.module(), self.element
        operands = {"digit": self.digit, "a": self.a, "b": self.b, "ternary": self.ternary}
        state = Signal(element.state_bits, name="state")
        self.use(
            m, Accumulate(element), "whole", first=self.first, enable=self.enable, state=state, **operands
        )
        product = Signal(element.product_bits, name="product")
        self.use(m, Product(element), "product_", product=product, **operands)
        held, first, enable = Signal(len(product), name="held"), Signal(name="later"), Signal(name="enabled")
        m.d.sync += [held.eq(product), first.eq(self.first), enable.eq(self.enable)]
        other, following = Signal(len(state), name="other"), Signal(len(state), name="following")
        self.use(m, Merge(element), "merge", product=held, state=Mux(first, 0, other), next=following)
        m.d.sync += other.eq(Mux(enable, following, other))
        for name, word, port in (("total", state, self.total), ("halves", other, self.halves)):
            if element.resolves:
                self.use(m, Resolve(element), f"resolve_{name}", state=word, total=port)
            else:
                m.d.comb += port.eq(word)
        return m


class Serial(Block):
    """Queues in step, an element and its total; ``late`` that of an element with registered rows."""

    place = "test"

    def __init__(self, element: Element) -> None:
        self.element = element
        ports = {
            "a": In(element.lanes * element.a_width),
            "b": In(element.lanes * element.b_width),
            "mask": In(element.digits if element.pe == "booth_serial" else 0),
            **dict.fromkeys(("load", "enable", "first", "run"), In(1)),
            "done": Out(1),
            "total": Out(element.total_width),
            "late": Out(element.total_width),
        }
        super().__init__(f"serial_{Step(element).module_name}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, element = self.module(), self.element
        queue, width = DigitQueue(element), element.a_width
        shown, done = [], []
        for lane in range(element.lanes):
            shown.append(Signal(element.digit_bits, name=f"digit{lane}"))
            done.append(Signal(name=f"done{lane}"))
            pins = {"digit": shown[-1], "done": done[-1], "load": self.load, "enable": self.enable}
            self.use(m, queue, f"queue{lane}", mask=self.mask, a=self.a[lane * width :][:width], **pins)
        m.d.comb += self.done.eq(Cat(*done).all())
        for name, registered, port in (("total", False, self.total), ("late", True, self.late)):
            state = Signal(element.state_bits, name=f"state_{name}")
            pins = {"digit": Cat(*shown), "b": self.b, "first": self.first, "enable": self.run}
            self.use(m, Accumulate(element, registered=registered), f"sum_{name}", state=state, **pins)
            self.use(m, Resolve(element), f"resolve_{name}", state=state, total=port)
        return m


def lanes_of(word: Array, width: int, lanes: int) -> Array:
    """Two's complement elements of packed words, along a new last axis."""
    return wrap(word[:, None] >> width * np.arange(lanes), width)


def control(rows: int) -> tuple[Array, Array]:
    """``first`` and ``enable``; a sum begins with the first row."""
    random = np.random.default_rng(rows)
    first, enable = random.random(rows) < 0.03, random.random(rows) < 0.8
    first[0] = enable[0] = True
    return first, enable


def expected(products: Array, first: Array, enable: Array, width: int) -> Array:
    """Totals one row late: row n shows the sum up to row n - 1."""
    total, found = 0, []
    for product, begins, counts in zip(products.tolist(), first.tolist(), enable.tolist(), strict=True):
        found.append(total)
        total = total if not counts else product + (0 if begins else total)
    return wrap(found, width)


def check(elements: dict[str, Element], a: Array, b: Array, ternary: Array | int = 0) -> None:
    """Both forms of every element, all in one bench on the same words."""
    first, enable = control(len(a))
    codes = {"a": a, "b": b, "first": first, "enable": enable, "ternary": ternary}
    found = drive(Bench({name: Whole(element) for name, element in elements.items()}), codes)
    for name, element in elements.items():
        products = golden(element, a, b, np.broadcast_to(ternary, len(a)))
        wanted = expected(products, first, enable, element.total_width)
        total = wrap(found[f"{name}_total"], element.total_width)
        assert np.count_nonzero(total[1:] != wanted[1:]) == 0, name
        halves = wrap(found[f"{name}_halves"], element.total_width)
        assert np.count_nonzero(halves[2:] != wanted[1:-1]) == 0, name


def golden(element: Element, a: Array, b: Array, ternary: Array) -> Array:
    """The sum of products that a row of packed words stands for."""
    x, y = (lanes_of(a, element.a_bits, element.lanes), lanes_of(b, element.b_width, element.lanes))
    if element.pe == "ent":
        table = np.zeros(2 << element.a_width, np.int64)
        values = np.arange(-1 << (element.a_width - 1), 1 << (element.a_width - 1))
        table[digits.ent_code(values, element.a_width)] = values
        x = table[x & ((2 << element.a_width) - 1)]
    whole = (x * y).sum(axis=-1)
    if element.pe != "booth_flex":
        return whole
    apart = lanes_of(a, 2, element.digits) * lanes_of(b, element.b_width, element.digits)
    return np.where(ternary, apart.sum(axis=-1), whole)


def every_pair(width: int = 8) -> tuple[Array, Array]:
    values = np.arange(-1 << (width - 1), 1 << (width - 1))
    return np.repeat(values, len(values)), np.tile(values, len(values))


@pytest.mark.parametrize(
    "pe", ["mac", *(pytest.param(pe, marks=pytest.mark.slow) for pe in ("opt1", "opt2", "booth_flex"))]
)
def test_every_pair_of_8_bits(pe: str) -> None:
    a, b = every_pair()
    check({pe: Element(pe, 8, 8, 1, 32).check()}, a, b)


def test_every_pair_of_8_bits_in_ent_code() -> None:
    a, b = every_pair()
    check({"ent": Element("ent", 8, 8, 1, 32).check()}, digits.ent_code(a, 8), b)


def ternary_words(rows: int, lanes: int, seed: int) -> Array:
    """Packed weights of -1, 0 and 1."""
    weights = np.random.default_rng(seed).integers(-1, 2, (rows, lanes)) & 3
    return (weights << 2 * np.arange(lanes)).sum(axis=-1)


def test_ternary_weights_one_or_many() -> None:
    a = ternary_words(1 << 14, 7, 1)
    b = np.random.default_rng(2).integers(-1 << 62, 1 << 62, 1 << 14)
    check({f"ternary{lanes}": Element("ternary", 2, 8, lanes, 24).check() for lanes in (1, 3)}, a, b)


def test_ternary_weights_on_a_booth_datapath() -> None:
    """Modes change from row to row."""
    a = ternary_words(1 << 14, 4, 3)
    random = np.random.default_rng(4)
    b, mode = random.integers(0, 1 << 32, 1 << 14), random.integers(0, 2, 1 << 14)
    check({"flex": Element("booth_flex", 8, 8, 1, 24).check()}, a, b, mode)


FEW = [(2, 2, 1, 9), (3, 5, 2, 17)]
SHAPES = [*FEW, (5, 3, 4, 14), (16, 16, 1, 40), (4, 8, 4, 12), (2, 16, 3, 19), (7, 7, 1, 14)]


def check_shapes(pe: str, shapes: list[tuple[int, int, int, int]]) -> None:
    random = np.random.default_rng(6)
    a, b = random.integers(-1 << 62, 1 << 62, (2, 1 << 13))
    check({f"{pe}{number}": Element(pe, *shape).check() for number, shape in enumerate(shapes)}, a, b)


@pytest.mark.parametrize("pe", ["opt1", pytest.param("mac", marks=pytest.mark.slow)])
def test_small_widths_and_lanes(pe: str) -> None:
    check_shapes(pe, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("pe", ["mac", "opt1", "opt2"])
def test_other_widths_and_lanes(pe: str) -> None:
    check_shapes(pe, SHAPES[:: some(4, of=1)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(some(1, of=4)))
def test_random_shapes(seed: int) -> None:
    random = np.random.default_rng([seed, 9])
    a, b = random.integers(-1 << 62, 1 << 62, (2, 1 << 12))
    elements = {}
    for number in range(4):
        width, other = (int(value) for value in random.integers(2, 9, 2))
        lanes, total = int(random.integers(1, 4)), int(random.integers(6, 48))
        elements[f"n{number}"] = Element(
            str(random.choice(["mac", "opt1", "opt2"])), width, other, lanes, total
        )
    check({name: element.check() for name, element in elements.items()}, a, b)


def serial_run(
    element: Element, a: Array, b: Array, edit: tuple[str, str] | None = None
) -> tuple[int, int, int]:
    """Rows in which the total, the late total and ``done`` of a run without pauses are wrong."""
    cycles = processing.cycles_per_operand(element, a).max(axis=-1)
    start = 1 + np.concatenate([[0], np.cumsum(cycles)])
    rows = int(start[-1]) + 2
    table = {name: np.zeros(rows, np.int64) for name in ("a", "b", "load", "run", "first")}
    table["load"][start[:-1] - 1] = 1
    table["a"][start[:-1] - 1] = packed(a, element.a_width)
    table["run"][1 : start[-1]] = 1
    table["b"][1 : start[-1]] = np.repeat(packed(b, element.b_width), cycles)
    table["first"][1] = 1
    inputs = table | {"enable": np.ones(rows, np.int64), "mask": np.full(rows, (1 << element.digits) - 1)}
    inputs = inputs if element.pe == "booth_serial" else {k: v for k, v in inputs.items() if k != "mask"}
    found = drive(Serial(element), inputs, edit)
    wanted = wrap(np.cumsum((a * b).sum(axis=-1)), element.total_width)
    ends = np.zeros(rows, np.int64)
    ends[start[1:] - 1] = 1
    shown = slice(1, int(start[-1]))
    return (
        np.count_nonzero(wrap(found["total"][start[1:]], element.total_width) != wanted),
        np.count_nonzero(wrap(found["late"][start[1:] + 1], element.total_width) != wanted),
        np.count_nonzero(found["done"][shown] != ends[shown]),
    )


def packed(values: Array, width: int) -> Array:
    return ((values & ((1 << width) - 1)) << width * np.arange(values.shape[-1])).sum(axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("pe", ["opt4c", "booth_serial"])
def test_every_pair_of_8_bits_digit_by_digit(pe: str) -> None:
    a, b = every_pair()
    assert serial_run(Element(pe, 8, 8, 1, 32).check(), a[:, None], b[:, None]) == (0, 0, 0)


@pytest.mark.parametrize(
    "shape",
    [
        ("opt4e", 3, 3, 4, 12),
        pytest.param(("opt4e", 8, 8, 4, 32), marks=pytest.mark.slow),
        pytest.param(("opt3", 2, 2, 1, 12), marks=pytest.mark.slow),
        pytest.param(("opt3", 3, 5, 2, 12), marks=pytest.mark.slow),
        pytest.param(("opt4c", 16, 4, 1, 40), marks=pytest.mark.slow),
        pytest.param(("booth_serial", 5, 16, 2, 40), marks=pytest.mark.slow),
    ],
    ids=lambda shape: "_".join(map(str, shape)),
)
def test_digits_of_several_operands_meet(shape: Any) -> None:
    element = Element(*shape).check()
    random = np.random.default_rng(8)
    a = random.integers(-1 << (element.a_width - 1), 1 << (element.a_width - 1), (3000, element.lanes))
    b = random.integers(-1 << (element.b_width - 1), 1 << (element.b_width - 1), (3000, element.lanes))
    assert serial_run(element, a, b) == (0, 0, 0)


def test_a_queue_that_forgets_a_carry_is_noticed() -> None:
    a, b = (word[:2000, None] for word in every_pair())
    element = Element("opt4c", 8, 8, 1, 32)
    text = "".join(emit(DigitQueue(element)).modules.values())
    line = next(line for line in text.splitlines() if re.match(r"\s*assign carry1 = ", line))
    wrong = serial_run(element, a, b, (line, "assign carry1 = 1'h0;"))
    assert wrong[0] > 100


def test_an_adder_without_its_carry_is_noticed() -> None:
    a, b = every_pair()
    element = Element("opt1", 8, 8, 1, 32)
    text = "".join(emit(Accumulate(element)).modules.values())
    line = next(line for line in text.splitlines() if re.match(r"\s*assign add30_carry = ", line))
    first, enable = control(len(a))
    inputs = {"a": a, "b": b, "first": first, "enable": enable}
    found = drive(Whole(element), inputs, (line, "assign add30_carry = 1'h0;"))["total"]
    assert np.count_nonzero(wrap(found, 32) != expected(a * b, first, enable, 32)) > 1000


@pytest.mark.parametrize("width", [2, 5, 8, pytest.param(16, marks=pytest.mark.slow)])
def test_ent_codes_of_all_integers(width: int) -> None:
    values = np.arange(-1 << (width - 1), 1 << (width - 1))
    assert np.array_equal(drive(DigitEncode(width), {"a": values})["code"], digits.ent_code(values, width))


@pytest.mark.parametrize("group", [2, 4, 5])
def test_the_activation_of_an_index_is_selected(group: int) -> None:
    random = np.random.default_rng(group)
    entries, index = random.integers(-128, 128, (1000, group)), random.integers(0, group, 1000)
    found = drive(ActivationSelect(8, group), {"entries": packed(entries, 8), "index": index})["value"]
    assert np.array_equal(wrap(found, 8), entries[np.arange(1000), index])


MORE = [("fp16", "same", 1), ("bf16", "same", 3), ("fp8_e4m3", "fp16", 2)]
SELECTED: list[Any] = [
    ("fp8_e4m3", "bf16", 1), ("fp8_e5m2", "fp16", 2), pytest.param("fp16", "same", 3, marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize("number, accumulate, lanes", SELECTED)
def test_floats_are_selected_and_added_as_the_model(number: str, accumulate: str, lanes: int) -> None:
    fmt = floating.get(number)
    element = Element("ternary", 2, fmt.width, lanes, 16, number, accumulate).check()
    x, y = pairs(fmt)
    random = np.random.default_rng(10)
    b = np.stack([random.permutation(word) for word in (x, y, x)[:lanes]], axis=-1)[: 1 << 13]
    check_floats(element, random.integers(-1, 2, b.shape), b, random)


FLOATS: list[Any] = [("fp8_e5m2", "same", 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]


@pytest.mark.parametrize("number, accumulate, lanes", FLOATS)
def test_floats_are_multiplied_and_added_as_the_model(number: str, accumulate: str, lanes: int) -> None:
    fmt = floating.get(number)
    element = Element("float", fmt.width, fmt.width, lanes, 16, number, accumulate).check()
    x, y = pairs(fmt)
    random = np.random.default_rng(9)
    a = np.stack([x, *(random.permutation(x) for _ in range(lanes - 1))], axis=-1)[: 1 << 14]
    b = np.stack([y, *(random.permutation(y) for _ in range(lanes - 1))], axis=-1)[: 1 << 14]
    check_floats(element, a, b, random)


def check_floats(element: Element, a: Array, b: Array, random: np.random.Generator) -> None:
    """Both forms of an element of floats, with pauses, against the model."""
    first, enable = control(len(a))
    first |= random.random(len(a)) < 0.4
    inputs = {
        "a": packed(a, element.a_width),
        "b": packed(b, element.b_width),
        "first": first,
        "enable": enable,
    }
    found = drive(Whole(element), inputs)
    partials = processing.golden.partial(element, a, b)
    total, wanted = np.zeros(1, np.int64), []
    for row in range(len(a)):
        wanted.append(int(total[0]))
        if enable[row]:
            total = floating.add(sum_format(element), total * (not first[row]), partials[row : row + 1])
    assert np.array_equal(found["total"][1:], wanted[1:])
    assert np.array_equal(found["halves"][2:], wanted[1:-1])


COUNTED = [
    *(
        Element("mac", 8, 8),
        Element("ternary", 2, 8, 3, 20),
        Element("ent", 7, 8),
        Element("booth_flex", 8, 8),
    ),
    *(
        Element("opt1", 8, 8),
        Element("opt1", 2, 2, 1, 9),
        Element("opt1", 3, 3, 2, 7),
        Element("opt1", 4, 4, 1, 8),
    ),
    *(
        Element("opt2", 8, 8, 4),
        Element("opt4c", 8, 8),
        Element("opt4c", 2, 2, 1, 6),
        Element("opt3", 3, 2, 1, 5),
    ),
    *(Element("opt4e", 5, 8, 4), Element("booth_serial", 6, 8), Element("float", 16, 16, 1, 16, "bf16")),
]


def netlist_flip_flops(block: Block, folder: Path) -> int:
    """Flip-flops that Yosys finds in a block."""
    emitted = emit(block)
    (folder / "block.v").write_text("".join(emitted.modules.values()))
    lines = ["read_verilog -sv block.v", f"hierarchy -top {emitted.top}", "proc", "flatten", "opt -fast"]
    lines += ["simplemap t:*dff*", "opt -fast", "opt_clean", "tee -o stat.json stat -json"]
    yosys.run("\n".join(lines), cwd=folder, timeout_s=300)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return sum(count for kind, count in cells.items() if "DFF" in kind)


@pytest.mark.parametrize(
    "element", COUNTED, ids=lambda e: f"{e.pe}_a{e.a_width}b{e.b_width}l{e.lanes}t{e.total_width}"
)
def test_predicted_flip_flops_are_those_of_the_netlist(element: Element, tmp_path: Path) -> None:
    found = netlist_flip_flops(Accumulate(element.check()), tmp_path)
    assert found == flip_flops(processing.accumulate_units(element, "pe", 1))
    found = netlist_flip_flops(Accumulate(element, registered=True), tmp_path)
    assert found == flip_flops(processing.accumulate_units(element, "pe", 1, registered=1))
    if element.serial:
        found = netlist_flip_flops(DigitQueue(element), tmp_path)
        assert found == flip_flops(processing.queue_units(element, "pe", 1))


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_the_linter_finds_nothing(every: int, tmp_path: Path) -> None:
    blocks: dict[str, Block] = {f"whole{n}": Whole(e) for n, e in enumerate(COUNTED[::every]) if not e.serial}
    blocks |= {f"serial{n}": Serial(e) for n, e in enumerate(COUNTED[::every]) if e.serial}
    blocks |= {"encode": DigitEncode(7), "select": ActivationSelect(8, 5)}
    assert linter.findings(Bench(blocks), tmp_path) == []


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Resolve(Element("mac", 8, 8)), "Only a sum in carry-save form must be resolved, not that of mac"),
        (lambda: Step(Element("mac", 8, 1)), "b_width must be from 2 to 16, not 1"),
        (lambda: DigitQueue(Element("mac", 8, 8)), "A queue of digits must be that of a serial element, not mac"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        build()
