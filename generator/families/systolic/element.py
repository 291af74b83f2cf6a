"""Processing elements with their operand and result registers in an array."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import Element
from blueprint.arithmetic.processing.cascade import Plans, plans
from blueprint.families.systolic import SystolicSpec
from blueprint.numbers import flag
from generator.arithmetic.floating import FloatAdd
from generator.arithmetic.integers import add, sign_extend
from generator.arithmetic.processing import ActivationSelect, DigitQueue, Merge, Pass, Product, Step, mark
from generator.arithmetic.processing.floats import converted, widened
from generator.block import Block, register
from generator.layout import element, elements, viewed


def element_name(spec: SystolicSpec, element: Element) -> str:
    """The part of a module's name that identifies the products of an element."""
    number = f"a{spec.act_width}w{spec.weight_width}"
    if spec.activation != "int":
        number = spec.activation + ("" if spec.acc_format == "same" else f"_{spec.acc_format}")
    sparse = "" if spec.group == 1 else f"_{spec.kept}of{spec.group}"
    held = "_reg" if spec.product_register else ""
    held += f"_p{spec.product_stages}" if spec.product_stages else ""
    return f"{spec.pe}_{number}_d{spec.dot_length}{sparse}{held}_t{element.total_bits}"


class ArrayElement(Block):
    """Base of the elements: what they multiply and add is that of a processing element."""

    place = "pe"
    throughput = "one beat per cycle"
    spec: SystolicSpec
    element: Element

    def selected(self, m: Module) -> tuple[Value, Value]:
        """(activations, weights) of the lanes, with the activation selected for every weight."""
        spec = self.spec
        act, kind = self.act_used(m), element(spec.stream("wgt").field)
        lanes = ArrayLayout(kind, spec.dot_length)(self.weight_used(m))
        words = [viewed(kind, word) for word in elements(lanes)]
        if spec.group == 1:
            return act, Cat(*(word.integer for word in words)) if spec.flexible else Cat(*words)
        block = ActivationSelect(spec.selected_width, spec.group)
        block.place = self.place
        acts, chosen = elements(ArrayLayout(spec.selected_width, spec.act_lanes)(act)), []
        for lane, word in enumerate(words):
            first = lane // spec.kept * spec.group
            value = Signal(spec.selected_width, name=f"chosen{lane}")
            group = Cat(*acts[first : first + spec.group])
            self.use(m, block, f"select{lane}", entries=group, index=word.index, value=value)
            chosen.append(value)
        return Cat(*chosen), Cat(*(word.value for word in words))

    def act_used(self, m: Module) -> Value:
        """The activations of this beat, or their digits."""
        return self.act

    def weight_used(self, m: Module) -> Value:
        """The weights of this beat, with their places."""
        return self.weight

    def operands(self, m: Module) -> dict[str, Value]:
        """The operands of a processing element by their ports."""
        act, weight = self.selected(m)
        if self.spec.flexible:
            word = viewed(element(self.spec.stream("wgt").field), self.weight)
            return {"a": weight, "b": act, "ternary": word.ternary}
        if self.spec.serial:
            return {"digit": act, "b": weight}
        return {"a": act, "b": weight} if self.spec.encoded else {"a": weight, "b": act}

    def product(self, m: Module) -> Value:
        """The products of a beat, one cycle later where they are registered."""
        block = self._placed(
            Product(self.element, passed=self.spec.passes_words > 0, stages=self.spec.product_stages)
        )
        found = Signal(len(block.product), name="product")
        self.use(m, block, "multiply", product=found, **self.operands(m))
        if not self.spec.product_register:
            return found
        held = Signal(len(found), name="product_held", reset_less=True)
        m.d.sync += held.eq(found)
        return held

    def stepped(self, m: Module, state: Value) -> Value:
        """``state`` with the products of a beat added."""
        following = Signal(self.element.state_bits, name="following")
        if self.spec.product_register:
            self.use(
                m,
                self._placed(Merge(self.element)),
                "merge",
                product=self.product(m),
                state=state,
                next=following,
            )
        else:
            self.use(
                m, self._placed(Step(self.element)), "step", state=state, next=following, **self.operands(m)
            )
        return following

    def _placed(self, block: Block) -> Block:
        block.place = self.place
        return block


class SummingElement(ArrayElement):
    """Adds products until a reduction is over; the sum moves to a register that is part of a chain."""

    def __init__(self, spec: SystolicSpec) -> None:
        self.spec, self.element = spec, spec.element
        cycles = spec.product_cycles + spec.sums
        self.latency = f"{cycles} cycle{'s' * (cycles > 1)}"
        width, many, chained = spec.state_width, spec.holds_sums, flag(spec.rows > 1)
        ports = {
            "act": In(spec.act_bits),
            "weight": In(spec.element_bits),
            "valid": In(many * spec.floats),
            "first": In(many),
            "load": In(spec.waits),
            "move": In(spec.waits),
            "last": In(1),
            "shift": In(chained),
            "below": In(chained * width),
            "result": Out(width),
        }
        form = ("_acc" if many else "") + (f"_turns{spec.sums}" if spec.interleaves else "")
        form += "_chain" if chained else ""
        super().__init__(f"systolic_sum_{element_name(spec, self.element)}{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        total = self._total(m)
        moves: Value = self.last
        if self.spec.rows > 1:
            total, moves = Mux(self.last, total, self.below), self.last | self.shift
        m.d.comb += self.result.eq(register(m, len(self.result), "leaving", moves, total))
        return m

    def act_used(self, m: Module) -> Value:
        """Digits of the element's own queues, if any; none in a cycle without a beat."""
        if not self.spec.waits:
            return self.act
        block, digits = self._placed(DigitQueue(self.element)), []
        width = self.spec.selected_width
        words = ArrayLayout(self.spec.act_width, self.spec.act_lanes)(self.act)
        for number, word in enumerate(elements(words)):
            digit, shown = (Signal(width, name=f"{name}{number}") for name in ("digit", "shown"))
            self.use(m, block, f"queue{number}", a=word, load=self.load, enable=self.move, digit=digit)
            m.d.comb += shown.eq(digit & self.move.replicate(len(digit)))
            digits.append(shown)
        return Cat(*digits)

    def _total(self, m: Module) -> Value:
        """The sum with this beat."""
        width = self.spec.state_width
        if not self.spec.accumulates:
            return sign_extend(self.product(m), width)
        if not self.spec.holds_sums:
            return self.stepped(m, Const(0, width))
        state, so_far = Signal(width, name="accumulator", reset_less=True), Signal(width, name="so_far")
        m.d.comb += so_far.eq(state & ~self.first.replicate(width))
        if self.spec.interleaves:
            self._turned(m, state, so_far)
            return state
        total = self.stepped(m, so_far)
        # Without a beat integers add zero. Floats hold their sum instead, because infinity times 0 is NaN.
        m.d.sync += state.eq(Mux(self.valid, total, state) if self.spec.floats else total)
        return total

    def _turned(self, m: Module, state: Signal, so_far: Value) -> None:
        """Add a product to the sum whose turn it is; every beat moves all sums of the ring on by one register."""
        fmt, total = floating.get(str(self.spec.sum_format)), Signal(len(state), name="total")
        product = widened(self, m, self.product(m))
        adder = self._placed(FloatAdd(fmt, stages=self.spec.adder_stages))
        self.use(m, adder, "accumulate", a=so_far, b=product, enable=self.valid, result=total)
        with m.If(self.valid):
            m.d.sync += state.eq(total)


class StationaryElement(ArrayElement):
    """Multiplies passing activations by its own weights and adds the products to a passing sum.

    ``load`` takes the weights of the next tile; ``swap`` begins to use them, in this very cycle.
    """

    def __init__(self, spec: SystolicSpec, row: int) -> None:
        self.spec, self.element = spec, spec.element_of(spec.sum_width(row + 1))
        self.is_first, self.keeps = row == 0, spec.most_tokens > 1
        self.latency = "2 cycles" if spec.product_register else "1 cycle"
        form = ""
        if spec.passes_words:
            chain = cascade_plans(spec)
            self.element, self.plan = chain.element, chain.rows[row]
            form = f"_{mark(self.plan)}"
        before, after = handed_on(spec, row), handed_on(spec, row + 1)
        ports = {
            "act": In(spec.act_bits),
            "weight": In(spec.element_bits),
            "load": In(1),
            "swap": In(self.keeps),
            "above": In(before),
            "total": Out(after),
        }
        form += f"_from{before}" + ("_keep" if self.keeps else "")
        super().__init__(f"systolic_stay_{element_name(spec, self.element)}{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        width = len(self.total)
        if self.spec.passes_words:
            found = self._passed_on(m)
        else:
            found = self.product(m) if self.is_first else self.stepped(m, self._above(m))
        held = Signal(width, name="sum", reset_less=True)
        m.d.sync += held.eq(sign_extend(found, width))
        m.d.comb += self.total.eq(held)
        return m

    def _passed_on(self, m: Module) -> Value:
        """Two words from above and this row's products as two words."""
        above = 0 if self.is_first else len(self.above)
        block = self._placed(Pass(self.element, self.plan, above, registered=self.spec.product_register > 0))
        given = {"product": self.product(m)} if self.spec.product_register else self.operands(m)
        found = Signal(len(self.total), name="words")
        self.use(m, block, "pass", below=found, above=self.above, **given)
        return found

    def _above(self, m: Module) -> Value:
        """The sum of the rows above, as wide as that of this row."""
        if self.spec.floats and len(self.above) < len(self.total):
            return converted(self, m, self.element, "above", self.above)
        return sign_extend(self.above, len(self.total))

    def weight_used(self, m: Module) -> Value:
        bits = len(self.weight)
        shadow = register(m, bits, "shadow", self.load, self.weight)
        if not self.keeps:
            return shadow
        used = Signal(bits, name="weight_used")
        active = register(m, bits, "active", self.swap, shadow)
        m.d.comb += used.eq(Mux(self.swap, shadow, active))
        return used


def cascade_plans(spec: SystolicSpec) -> Plans:
    """Plans of the carry-save cascade down the rows."""
    return plans(spec.cascade.element, spec.rows, spec.product_register > 0)


def handed_on(spec: SystolicSpec, rows: int) -> int:
    """Bits of the sum of ``rows`` rows as it passes to the next row."""
    if not rows:
        return 0
    return cascade_plans(spec).rows[rows - 1].left_bits if spec.passes_words else spec.sum_width(rows)


def added(block: Block, spec: SystolicSpec, m: Module, left: Value, right: Value) -> Value:
    """Add two partial sums inside ``block``."""
    width = spec.result_width
    total = Signal(width, name="added")
    if spec.floats:
        if len(right) < width:
            right = converted(block, m, spec.element, "partial", right)
        adder = FloatAdd(floating.get(str(spec.sum_format)))
        adder.place = block.place
        block.use(m, adder, "add", a=left, b=right, result=total)
    else:
        m.d.comb += total.eq(add(left, sign_extend(right, width), None, width))
    return total
