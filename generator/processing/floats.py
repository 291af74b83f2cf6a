"""Sums of float products in their stated order: neighbors pairwise, then the accumulator."""

from amaranth.hdl import Module, Signal, Value

from blueprint import floating
from blueprint.processing.element import sum_format
from generator.arithmetic import parts
from generator.block import Block
from generator.floating import FloatAdd, FloatConvert, FloatMultiply


def product(block: Block, m: Module, a: Value, b: Value) -> Value:
    """The rounded sum of the lanes' rounded products."""
    element = block.element
    width, target = element.a_width, sum_format(element)
    words = []
    for lane, pair in enumerate(zip(parts(a, width), parts(b, width), strict=True)):
        x, y = (
            _converted(block, m, f"{operand}{lane}", word) for operand, word in zip("ab", pair, strict=True)
        )
        words.append(_operation(block, m, FloatMultiply(target), f"multiply{lane}", x, y))
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


def _converted(block: Block, m: Module, name: str, word: Value) -> Value:
    element = block.element
    source, target = floating.get(element.number), sum_format(element)
    if source is target:
        return word
    found = Signal(target.width, name=f"wide_{name}")
    converter = FloatConvert(source, target)
    converter.place = block.place
    block.use(m, converter, f"convert_{name}", a=word, result=found)
    return found


def _operation(block: Block, m: Module, operator: Block, name: str, x: Value, y: Value) -> Value:
    operator.place = block.place
    found = Signal(len(x), name=name)
    block.use(m, operator, f"{name}_", a=x, b=y, result=found)
    return found
