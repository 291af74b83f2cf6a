"""Tokens that are drawn: the instructions of an image that say how, which a host may write before every text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blueprint.errors import ParamError
from blueprint.systems import instructions
from blueprint.systems.address_map import PAGE
from blueprint.systems.control import Hardware
from blueprint.workloads.tasks import Rowwise, check_temperature
from compiler.image import Image
from compiler.plan import DOT
from compiler.prompts import DECODE
from compiler.units import register_numbers

#: The unit that chooses a token.
_UNIT = "vector"


def registers(hardware: Hardware, temperature: float, seed: int, top_k: int = 0) -> dict[int, int]:
    """Numbers and values of the registers of the unit that chooses a token that are not those of the most likely one.

    Raises as `drawn` does.
    """
    check_temperature("Temperature", temperature)
    spec = hardware.units[_UNIT]
    task = Rowwise(1, 1, DOT, temperature=temperature, seed=seed if temperature else 0, top_k=top_k)
    try:
        spec.check_workload(task)
    except ParamError as problem:
        raise ParamError(f"The vector unit must draw tokens: {problem}") from None
    likely = replace(task, temperature=0.0, seed=0, top_k=0)
    numbers, before = register_numbers(spec), spec.register_values(likely)
    return {
        numbers[name]: value for name, value in spec.register_values(task).items() if value != before[name]
    }


def drawn(image: Image, hardware: Hardware, temperature: float, seed: int, top_k: int = 0) -> Image:
    """The image whose program of decoding draws tokens with a temperature, by a seed; 0 is the most likely token.

    With ``top_k`` they are drawn among so many tokens with the largest scores.

    The position is set by the program itself. Raises ``ParamError`` where the unit that chooses cannot draw.
    """
    new = registers(hardware, temperature, seed, top_k)
    program = tuple(
        replace(one, value=new[one.register])
        if one.kind == "set" and one.unit == _UNIT and one.register in new
        else one
        for one in image.programs[DECODE]
    )
    data, at = image.data.copy(), image.pages[DECODE] * PAGE - image.base
    code = np.frombuffer(instructions.assemble(program, hardware.queues), np.uint8)
    data[at : at + code.size] = code
    return replace(image, data=data, programs={**image.programs, DECODE: program})
