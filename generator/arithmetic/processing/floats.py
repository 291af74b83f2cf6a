"""Sums of float products in their stated order: neighbors pairwise, then the accumulator."""

from amaranth.hdl import Cat, Module, Signal, Value

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing.element import Element, product_format, sum_format
from generator.arithmetic.floating import FloatAdd, FloatConvert, FloatMultiply
from generator.block import Block


def product(block: Block, m: Module, a: list[Value], b: list[Value]) -> Value:
    """The rounded sum of the rounded products of all lanes; a ternary ``a`` selects ``b``, ``-b`` or +0 instead."""
    element = block.element
    target, words = sum_format(element), []
    for lane, pair in enumerate(zip(a, b, strict=True)):
        if element.selects:
            chosen = _selected(m, *pair, lane)
            words.append(_converted(block, m, f"b{lane}", chosen) if element.lanes > 1 else chosen)
            continue
        x, y = (
            _converted(block, m, f"{operand}{lane}", word) for operand, word in zip("ab", pair, strict=True)
        )
        inside = block.stages > 0
        multiply = FloatMultiply(target, stages=block.stages, free=inside, short=inside)
        words.append(_operation(block, m, multiply, f"multiply{lane}", x, y))
    level = 0
    while len(words) > 1:
        pairs = [
            sum_of(block, m, f"tree{level}_{number}", words[number], words[number + 1])
            for number in range(0, len(words) - 1, 2)
        ]
        words = pairs + words[len(words) & ~1 :]
        level += 1
    return words[0]


def sum_of(block: Block, m: Module, name: str, x: Value, y: Value) -> Value:
    """The rounded sum of two words."""
    return _operation(block, m, FloatAdd(sum_format(block.element)), f"add_{name}", x, y)


def widened(block: Block, m: Module, product: Value) -> Value:
    """Convert a product to the format of the sum."""
    narrow = product_format(block.element) is not sum_format(block.element)
    return _converted(block, m, "product", product) if narrow else product


def converted(block: Block, m: Module, element: Element, name: str, word: Value) -> Value:
    """Convert an operand to the format of sums."""
    source, target = floating.get(element.number), sum_format(element)
    if source is target:
        return word
    found = Signal(target.width, name=f"wide_{name}")
    converter = FloatConvert(source, target)
    converter.place = block.place
    block.use(m, converter, f"convert_{name}", a=word, result=found)
    return found


def _selected(m: Module, a: Value, b: Value, lane: int) -> Value:
    """``b``, ``b`` with its sign flipped, or +0."""
    found = Signal(len(b), name=f"selected{lane}")
    m.d.comb += found.eq(Cat(b[:-1], b[-1] ^ a[1]) & a[0].replicate(len(b)))
    return found


def _converted(block: Block, m: Module, name: str, word: Value) -> Value:
    return converted(block, m, block.element, name, word)


def _operation(block: Block, m: Module, operator: Block, name: str, x: Value, y: Value) -> Value:
    operator.place = block.place
    found = Signal(len(x), name=name)
    block.use(m, operator, f"{name}_", a=x, b=y, result=found)
    return found
