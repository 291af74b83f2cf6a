"""Registers of a block as it is built, to compare with those that the inventory counts by name."""

import re
from collections import Counter
from collections.abc import Mapping

from amaranth.back import rtlil

from generator.block import Block


def built_registers(block: Block) -> dict[str, int]:
    """Bits of the registers of a block by name; those that a number tells apart (delays, stages) under one name.

    Ports are left out: they show a register of another name, or are one themselves.
    """
    text = rtlil.convert(block, name="block", emit_src=False)
    found: Counter[str] = Counter()
    for width, name in re.findall(r"attribute \\init \S+\n\s+wire width (\d+) \\(\w+)", text):
        found[re.sub(r"\d+", "", name)] += int(width)
    return dict(found)


def there(registers: Mapping[str, int]) -> dict[str, int]:
    """Those that a design has."""
    return {name: int(bits) for name, bits in registers.items() if bits}
