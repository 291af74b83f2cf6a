"""A processing element as blocks: a step, the same with its accumulator, and its two halves."""

import hashlib
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.processing.cascade import has_product
from blueprint.arithmetic.processing.columns import Plan
from blueprint.arithmetic.processing.element import (
    Element,
    groups,
    merge_plan,
    merge_rows,
    product_plan,
    step_plan,
)
from blueprint.arithmetic.processing.resolving import of_state
from blueprint.errors import ParamError
from generator.arithmetic.columns import build
from generator.arithmetic.processing import floats, rows
from generator.arithmetic.processing.adders import (
    carried_sum,
    carry_save_sum,
    in_pieces,
    resolved,
    state_bits,
    word_sum,
    word_sum_in_pieces,
)
from generator.block import Block, drive
from generator.layout import bits, elements


def name(element: Element, part: str) -> str:
    """A module name that encodes all parameters of the module."""
    kind = f"{element.number}_{element.acc_format}" if element.pe == "float" else element.pe
    if element.selects:
        kind += f"_{element.number}_{element.acc_format}"
    lanes = f"_l{element.lanes}" if element.lanes > 1 else ""
    return f"pe_{kind}_{part}_a{element.a_width}b{element.b_width}{lanes}_t{element.total_bits}"


def operand_ports(element: Element) -> dict[str, Any]:
    """Operand ports: ``a`` (or ``digit``) and ``b`` as arrays of lanes, and the digit mode."""
    return {
        "digit": In(ArrayLayout(element.digit_bits, element.lanes) if element.serial else 0),
        "a": In(0 if element.serial else ArrayLayout(element.a_bits, element.lanes)),
        "b": In(ArrayLayout(element.b_width, element.b_words)),
        "ternary": In(1 if element.pe == "booth_flex" else 0),
    }


class _Element(Block):
    """Base of the blocks of one element."""

    place = "pe"
    met = False  # True if the signs of digits are already added to their rows
    stages = 0  # registers inside float multipliers

    def __init__(self, element: Element, part: str, ports: dict[str, Any], *, clocked: bool = False) -> None:
        self.element = element.check()
        super().__init__(name(element, part), ports, clocked=clocked)

    def _rows(self, m: Module, a: Any, b: Any) -> list[Value]:
        return rows.operand_rows(m, self.element, elements(a), elements(b), self.ternary, self.met)

    def _product(self, m: Module, a: Any, b: Any) -> Value:
        element = self.element
        if element.floats:
            return floats.product(self, m, elements(a), elements(b))
        found = self._rows(m, a, b)
        if element.serial:
            return Cat(*found)
        if element.pe == "opt2":
            return _grouped(m, element, found, self.met)
        plan = product_plan(element)
        if element.resolves:
            built = build(m, plan, found)
            return Cat(*(built[number] for column in plan.left for number in column))
        return word_sum(m, plan, found)

    def _merge(self, m: Module, product: Value, state: Value) -> Value:
        element = self.element
        if element.floats:
            return floats.sum_of(self, m, "accumulate", state, floats.widened(self, m, product))
        low, found = 0, []
        for _, width in merge_rows(element)[0]:
            found.append(product[low : low + width])
            low += width
        if element.resolves:
            return carry_save_sum(m, merge_plan(element), found, state)
        return carried_sum(m, merge_plan(element), [Cat(found[0][:-1], ~found[0][-1])], state)

    def _next(self, m: Module, a: Any, b: Any, state: Value) -> Value:
        element = self.element
        if element.floats or element.pe == "opt2":
            product = self._product(m, a, b)
            return self._merge(m, product, state)
        add = carry_save_sum if element.resolves else carried_sum
        return add(m, step_plan(element), self._rows(m, a, b), state)


def _grouped(m: Module, element: Element, found: list[Value], met: bool) -> Value:
    """Reduce the rows of each weight; the results stand side by side, lowest weight first."""
    words: list[Value] = []
    for low, numbers, plan in groups(element, met):
        built = build(m, plan, [found[number] for number in numbers], name=f"weight{low}_")
        words += [built[number] for column in plan.left for number in column]
    return Cat(*words)


class Step(_Element):
    """Adds the products of one step to an accumulator's state."""

    def __init__(self, element: Element) -> None:
        state = {"state": In(element.state_bits), "next": Out(element.state_bits)}
        super().__init__(element, "step", operand_ports(element) | state)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.digit if self.element.serial else self.a
        drive(m, self.next, self._next(m, a, self.b, self.state))
        return m


class Accumulate(_Element):
    """A step with its accumulator: ``first`` starts a new sum.

    Without ``enable`` nothing is added: the registers may change, but not the value that they represent. With
    ``registered`` products the latency is one cycle longer and the clock can be faster.
    """

    def __init__(self, element: Element, *, registered: bool = False) -> None:
        self.registered = registered
        self.latency = "2 cycles" if registered else "1 cycle"
        control = {"first": In(1), "enable": In(1), "state": Out(element.state_bits)}
        part = "accumulate" + ("_late" if registered else "")
        super().__init__(element, part, operand_ports(element) | control, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, element = self.module(), self.element
        state = Signal(element.state_bits, name="accumulator", reset_less=True)
        m.d.comb += self.state.eq(state)
        a = self.digit if element.serial else self.a
        first, enable = self.first & self.enable, self.enable
        if not element.floats:
            # Adding zero is cheaper than an enable for every bit. Floats need the enable: infinity times 0 is NaN.
            a = a.shape()(bits(a) & enable.replicate(len(bits(a))))
        if self.registered:
            product = self._held(m, "product", self._product(m, a, self.b))
            first = self._held(m, "starts", first)
            enable = self._held(m, "counts", enable) if element.floats else enable
        so_far = Signal(len(state), name="so_far")
        m.d.comb += so_far.eq(state & ~first.replicate(len(state)))
        found = self._merge(m, product, so_far) if self.registered else self._next(m, a, self.b, so_far)
        m.d.sync += state.eq(Mux(enable, found, state) if element.floats else found)
        return m

    def _held(self, m: Module, name: str, value: Value) -> Value:
        held = Signal(len(value), name=name, reset_less=True)
        m.d.sync += held.eq(value)
        return held


class Product(_Element):
    """The products of one step, ready to be merged, or to be passed on.

    ``stages`` are registers inside float multipliers.
    """

    def __init__(self, element: Element, *, passed: bool = False, stages: int = 0) -> None:
        self.met, self.stages = passed, stages
        width = passed_bits(element) if passed else element.product_bits
        part = ("passed" if passed else "product") + (f"_s{stages}" if stages else "")
        super().__init__(element, part, operand_ports(element) | {"product": Out(width)}, clocked=stages > 0)
        if stages:
            self.latency = f"{stages} cycle{'s' * (stages > 1)}"

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        drive(m, self.product, self._product(m, self.a, self.b))
        return m


class Merge(_Element):
    """Adds a product to an accumulator's state."""

    def __init__(self, element: Element) -> None:
        ports = {
            "product": In(element.product_bits),
            "state": In(element.state_bits),
            "next": Out(element.state_bits),
        }
        super().__init__(element, "merge", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        drive(m, self.next, self._merge(m, self.product, self.state))
        return m


class Pass(_Element):
    """Adds the products of one step, or the bits of a registered one, to two words that pass; gives two words."""

    met = True

    def __init__(self, element: Element, plan: Plan, above: int, *, registered: bool) -> None:
        self.plan, self.registered = plan, registered
        given = {"product": In(passed_bits(element))} if registered else operand_ports(element)
        kind = "add" if registered else "pass"
        part = f"{kind}_f{above}_{mark(plan)}"
        super().__init__(element, part, given | {"above": In(above), "below": Out(plan.left_bits)})

    def elaborate(self, platform: Any) -> Module:
        m, element = self.module(), self.element
        if self.registered:
            found = list(self.product)
        elif has_product(element, False):
            found = list(self._product(m, self.a, self.b))
        else:
            found = self._rows(m, self.a, self.b)
        built = build(m, self.plan, [*found, *(self.above if len(self.above) else ())])
        m.d.comb += self.below.eq(Cat(*(built[number] for column in self.plan.left for number in column)))
        return m


class Total(Block):
    """Two words that have passed all rows, and the constant that belongs to them, as one integer.

    They are added in as many pieces as ``cycles``, with a register behind each.
    """

    place = "result"
    throughput = "one sum per cycle"

    def __init__(self, plan: Plan, words: int, cycles: int = 1) -> None:
        self.plan, self.cycles = plan, cycles
        self.latency = f"{cycles} cycle{'s' * (cycles > 1)}"
        ports = {"words": In(words), "total": Out(plan.width)}
        pieces = f"_p{cycles}" if cycles > 1 else ""
        super().__init__(f"pe_total_f{words}_t{plan.width}_{mark(plan)}{pieces}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        total = Signal(self.plan.width, name="resolved", reset_less=True)
        words = list(self.words)
        if self.cycles > 1:
            found = word_sum_in_pieces(m, self.plan, words, [Const(1, 1)] * (self.cycles - 1))
        else:
            found = word_sum(m, self.plan, words)
        m.d.sync += total.eq(found)
        m.d.comb += self.total.eq(total)
        return m


def passed_bits(element: Element) -> int:
    """Bits of a step's products that are passed on."""
    return sum(width for _, width in merge_rows(element, True)[0])


def mark(plan: Plan) -> str:
    """A suffix that distinguishes plans of the same widths."""
    return hashlib.sha256(repr(plan).encode()).hexdigest()[:8]


class Resolve(_Element):
    """The total that an accumulator's state stands for: one addition.

    It has as many pieces as ``cycles``; a register between two moves by its bit of ``enable``. Raises ``ParamError``
    for an element without carry-save form.
    """

    def __init__(self, element: Element, cycles: int = 1) -> None:
        if not element.resolves:
            raise ParamError(f"Only a sum in carry-save form must be resolved, not that of {element.pe}")
        self.cycles = cycles
        ports = {"state": In(element.state_bits), "total": Out(element.total_bits), "enable": In(cycles - 1)}
        part = "resolve" + (f"_p{cycles}" if cycles > 1 else "")
        super().__init__(element, part, ports, clocked=cycles > 1)
        if cycles > 1:
            self.latency = f"{cycles - 1} cycle{'s' * (cycles > 2)}"

    def elaborate(self, platform: Any) -> Module:
        m, plan = self.module(), step_plan(self.element)
        if self.cycles > 1:
            bits = state_bits(m, plan, self.state)
            m.d.comb += self.total.eq(in_pieces(m, of_state(plan), bits, list(self.enable)))
        else:
            m.d.comb += self.total.eq(resolved(plan, self.state))
        return m
