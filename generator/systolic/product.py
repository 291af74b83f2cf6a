"""What an element multiplies and adds up in one cycle."""

from amaranth.hdl import Const, Module, Signal, Value

from blueprint import floating
from blueprint.systolic import SystolicSpec
from generator.arithmetic import add, one_of, parts, sign_extend, tree_sum
from generator.block import Block
from generator.floating import FloatAdd, FloatMultiply


def element_name(spec: SystolicSpec) -> str:
    """The part of a module's name that says everything about an element's products."""
    number = f"a{spec.act_width}w{spec.weight_width}" if spec.activation == "int" else spec.activation
    sparse = "" if spec.group == 1 else f"_{spec.kept}of{spec.group}"
    held = "_reg" if spec.product_register else ""
    return f"{spec.pe}_{number}_d{spec.depth}{sparse}{held}"


class Arithmetic:
    """Products and sums inside a block of a design."""

    def __init__(self, block: Block, spec: SystolicSpec, m: Module) -> None:
        self.block, self.spec, self.m = block, spec, m
        self.count = 0

    def dot(self, act: Value, weight: Value) -> tuple[Value, Value | None]:
        """(sum of products, a bit still to be added) of an element's activations and weights."""
        spec = self.spec
        acts, weights = parts(act, spec.act_width), parts(weight, int(spec.weight_bits))
        pairs = [(self._selected(acts, lane, word), word[: spec.weight_width]) for lane, word in enumerate(weights)]
        if spec.floats:
            return self._held(self._float_dot(pairs)), None
        total, carry = self._ternary_dot(pairs) if spec.pe == "select_add" else self._whole_dot(pairs)
        if spec.product_register and carry is not None:
            total, carry = self.plain(total, carry), None
        return self._held(total), carry

    def plain(self, total: Value, carry: Value | None) -> Value:
        """The sum with its single bit."""
        return total if carry is None else add(total, Const(0, len(total)), carry, len(total))

    def add(self, left: Value, right: Value, carry: Value | None, width: int) -> Value:
        """``left + right + carry``, signed and modulo ``2**width``, or the sum of two floats."""
        if self.spec.floats:
            return self._call(FloatAdd(floating.get(self.spec.activation)), left, right)
        total = Signal(width, name=f"total{self.count}")
        self.count += 1
        self.m.d.comb += total.eq(add(sign_extend(left, width), sign_extend(right, width), carry, width))
        return total

    def _selected(self, acts: list[Value], lane: int, word: Value) -> Value:
        """The activation that belongs to a weight."""
        spec = self.spec
        if spec.group == 1:
            return acts[lane]
        place = word[spec.weight_width :]
        group = acts[lane // spec.kept * spec.group :][: spec.group]
        chosen = Signal(spec.act_width, name=f"chosen{lane}")
        self.m.d.comb += chosen.eq(one_of([place == number for number in range(int(spec.group))], group))
        return chosen

    def _held(self, total: Value) -> Value:
        if not self.spec.product_register:
            return total
        held = Signal(len(total), name="product", reset_less=True)
        self.m.d.sync += held.eq(total)
        return held

    def _whole_dot(self, pairs: list[tuple[Value, Value]]) -> tuple[Value, None]:
        width = int(self.spec.dot_width)
        full = self.spec.act_width + (1 if self.spec.weight_width == 2 else self.spec.weight_width)
        words: list[Value] = []
        for lane, (act, weight) in enumerate(pairs):
            word = Signal(min(full, width), name=f"product{lane}")
            self.m.d.comb += word.eq((act.as_signed() * weight.as_signed())[: len(word)])
            words.append(word)
        return tree_sum(self.m, words, [], width)[0], None

    def _ternary_dot(self, pairs: list[tuple[Value, Value]]) -> tuple[Value, Value]:
        """A negative weight complements; the ones that complete the negations are carries of the adders."""
        words, signs = [], []
        for lane, (act, weight) in enumerate(pairs):
            word = Signal(len(act), name=f"signed{lane}")
            self.m.d.comb += word.eq((act ^ weight[1].replicate(len(act))) & weight[0].replicate(len(act)))
            words.append(word)
            signs.append(weight[1])
        total, free = tree_sum(self.m, words, signs, int(self.spec.dot_width))
        return total, free[0]

    def _float_dot(self, pairs: list[tuple[Value, Value]]) -> Value:
        fmt = floating.get(self.spec.activation)
        words = [self._call(FloatMultiply(fmt), act, weight) for act, weight in pairs]
        while len(words) > 1:
            sums = [self._call(FloatAdd(fmt), a, b) for a, b in zip(words[::2], words[1::2], strict=False)]
            words = sums + words[len(words) & ~1 :]
        return words[0]

    def _call(self, block: Block, a: Value, b: Value) -> Value:
        block.place = self.block.place
        result = Signal(len(a), name=f"float{self.count}")
        self.block.use(self.m, block, f"{block.module_name}_{self.count}", a=a, b=b, result=result)
        self.count += 1
        return result

