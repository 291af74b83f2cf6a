"""Processing elements."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from blueprint.systolic import SystolicSpec
from generator.arithmetic import sign_extend
from generator.block import Block, register
from generator.systolic.product import Arithmetic, element_name


class SummingElement(Block):
    """Adds products until a reduction is over; the result moves to a register that is part of a chain."""

    place = "pe"
    throughput = "one beat per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.spec = spec
        self.latency = f"{1 + spec.product_register} cycle{'s' if spec.product_register else ''}"
        width = int(spec.result_width)
        many, chained = int(bool(spec.accumulates)), int(spec.rows > 1)
        ports = {
            "act": In(int(spec.act_bits)),
            "weight": In(int(spec.element_bits)),
            "valid": In(many),
            "first": In(many),
            "last": In(1),
            "shift": In(chained),
            "below": In(chained * width),
            "result": Out(width),
        }
        form = ("_acc" if many else "") + ("_chain" if chained else "")
        super().__init__(f"systolic_sum_{element_name(spec)}_r{width}{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        width = int(self.spec.result_width)
        arithmetic = Arithmetic(self, self.spec, m)
        dot, carry = arithmetic.dot(self.act, self.weight)
        if self.spec.accumulates:
            sum_so_far = Signal(width, name="sum_so_far", reset_less=True)
            start = sum_so_far & (~self.first).replicate(width)
            total = arithmetic.add(start, dot, carry, width)
            with m.If(self.valid):
                m.d.sync += sum_so_far.eq(total)
        else:
            total = sign_extend(arithmetic.plain(dot, carry), width)
        if self.spec.rows > 1:
            total = Mux(self.last, total, self.below)
            moves = self.last | self.shift
        else:
            moves = self.last
        m.d.comb += self.result.eq(register(m, width, "leaving", moves, total))
        return m


class StationaryElement(Block):
    """Multiplies passing activations by its own weights and adds the products to a passing sum.

    ``load`` takes the weights of the next tile; ``swap`` begins to use them, in this very cycle.
    """

    place = "pe"
    throughput = "one token per cycle"

    def __init__(self, spec: SystolicSpec, row: int) -> None:
        self.spec = spec
        self.is_first = row == 0
        self.latency = f"{1 + spec.product_register} cycle{'s' if spec.product_register else ''}"
        before, self.after = (0 if self.is_first else int(spec.sum_width(row))), int(spec.sum_width(row + 1))
        ports = {
            "act": In(int(spec.act_bits)),
            "weight": In(int(spec.element_bits)),
            "load": In(1),
            "swap": In(1 if spec.most_tokens > 1 else 0),
            "above": In(before),
            "total": Out(self.after),
        }
        form = f"_s{before}_{self.after}" + ("_keep" if spec.most_tokens > 1 else "")
        super().__init__(f"systolic_stay_{element_name(spec)}{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        bits = int(self.spec.element_bits)
        shadow = register(m, bits, "shadow", self.load, self.weight)
        weight = Signal(bits, name="weight_used")
        if self.spec.most_tokens > 1:
            active = register(m, bits, "active", self.swap, shadow)
            m.d.comb += weight.eq(Mux(self.swap, shadow, active))
        else:
            m.d.comb += weight.eq(shadow)
        arithmetic = Arithmetic(self, self.spec, m)
        dot, carry = arithmetic.dot(self.act, weight)
        if self.is_first:
            total = sign_extend(arithmetic.plain(dot, carry), self.after)
        else:
            total = arithmetic.add(self.above, dot, carry, self.after)
        held = Signal(self.after, name="sum", reset_less=True)
        m.d.sync += held.eq(total)
        m.d.comb += self.total.eq(held)
        return m
